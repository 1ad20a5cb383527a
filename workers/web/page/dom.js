// Elements from plain values. Text becomes text, never markup: a camera may be named anything.

/** Makes an element; `attributes` are set as such, `children` are elements or text. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets an element's text, touching the page only when it differs. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a data attribute, touching the page only when it differs. */
export function setData(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

/**
 * Makes `parent`'s children those of `items`, in their order, keeping the element of a key.
 * `views` is a Map the caller keeps; `make(item)` gives a view with `element` and `update(item)`.
 */
export function sync(parent, views, items, key, make) {
  const wanted = new Set(items.map(key));
  for (const [name, view] of views) {
    if (wanted.has(name)) continue;
    view.remove?.();
    view.element.remove();
    views.delete(name);
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    let view = views.get(key(item));
    if (!view) {
      view = make(item);
      views.set(key(item), view);
    }
    view.update(item);
    if (view.element === place) place = place.nextElementSibling;
    else parent.insertBefore(view.element, place);
  }
}
