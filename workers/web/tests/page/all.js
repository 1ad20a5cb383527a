// All tests of components, one file after another: modules that are imported together would run together.

import { tell } from "./harness.js";

for (const file of ["components.js", "camera.js", "figures.js"]) await import(`./${file}`);
tell();
