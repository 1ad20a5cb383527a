use super::*;

const USUAL: Sides = (640, 480);

fn input(shape: &[i64]) -> Option<Input> {
    let shape: Vec<Option<usize>> = shape.iter().map(|side| usize::try_from(*side).ok()).collect();
    Input::of(&shape, Element::F32, USUAL)
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

#[test]
fn an_input_says_its_size_and_the_order_of_its_numbers() {
    let nchw = input(&[-1, 3, 320, 640]).unwrap();
    assert_eq!((nchw.batch, nchw.layout, nchw.size), (None, TensorLayout::Nchw, (640, 320)));
    assert_eq!((nchw.shape(2), nchw.numbers()), ([2, 3, 320, 640], 3 * 320 * 640));
    let nhwc = input(&[1, 224, 224, 3]).unwrap();
    assert_eq!((nhwc.batch, nhwc.layout, nhwc.size), (Some(1), TensorLayout::Nhwc, (224, 224)));
    assert_eq!(nhwc.shape(1), [1, 224, 224, 3]);
    assert_eq!(input(&[1, 1, 28, 28]).unwrap().channels, 1);
}

#[test]
fn what_it_leaves_open_is_as_the_topology_says() {
    assert_eq!(input(&[-1, 3, -1, -1]).unwrap().size, USUAL);
    assert_eq!(input(&[-1, -1, -1, 3]).unwrap().size, USUAL);
}

#[test]
fn an_input_that_is_no_picture_is_refused() {
    for shape in [&[1, 512][..], &[1, 4, 640, 640], &[-1, -1, -1, -1], &[1, 3, 100_000, 5]] {
        assert_eq!(input(shape), None, "{shape:?}");
    }
    assert_eq!(in_words(&[None, Some(4)]), "[?, 4]");
}

#[test]
fn an_output_is_divided_among_its_pictures() {
    let output = Output { shape: vec![2, 3], values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0] };
    assert_eq!((output.of(0, 2), output.of(1, 2)), (&[0.0, 1.0, 2.0][..], &[3.0, 4.0, 5.0][..]));
    assert!(output.of(2, 2).is_empty());
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let config = DetectConfig::of("/nowhere/x.onnx".into());
    let told = open(&config, Path::new("/nowhere")).unwrap_err().to_string();
    assert!(told.contains("/nowhere/x.onnx") && told.contains("No such file"), "{told}");
}

#[test]
fn the_built_in_engine_runs_the_colours_model() {
    let config = DetectConfig { engine: Asked::Tract, ..DetectConfig::of(model("colours.onnx")) };
    let mut opened = open(&config, Path::new("/nowhere")).unwrap();
    assert_eq!(opened.fell_back, None);
    assert_eq!(opened.engine.names(), Some("{0: 'red', 1: 'green', 2: 'blue'}"));
    let input = opened.engine.input().clone();
    assert_eq!((input.size, input.channels, input.batch), ((32, 32), 3, Some(1)));
    // All green.
    let plane = 32 * 32;
    let mut numbers = vec![0.0; input.numbers()];
    numbers[plane..2 * plane].fill(1.0);
    let output = opened.engine.run(&numbers, 1).unwrap();
    assert_eq!(output.shape, [1, 3]);
    for (seen, expected) in output.values.iter().zip([0.0, 8.0, 0.0]) {
        assert!((seen - expected).abs() < 1e-4, "{output:?}");
    }
}

#[test]
fn hardware_that_the_built_in_engine_does_not_know_is_told() {
    let config = DetectConfig {
        engine: Asked::Tract,
        providers: vec![Provider::Cuda],
        ..DetectConfig::of(model("colours.onnx"))
    };
    let told = open(&config, Path::new("/nowhere")).unwrap().fell_back.unwrap();
    assert_eq!(told, "tract knows no cuda: the processor runs the model");
}
