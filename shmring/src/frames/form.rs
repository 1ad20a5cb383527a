//! What a descriptor says of the content of its slot. Pure.
//!
//! Pictures in a row are alike: their content is proven to lie in its slot when it changes, and known again
//! by its words until it does.

use protocol::stream::{Colour, DType, PixelFormat};

use super::descriptor::Described;
use super::{Content, Picture, PlaneLayout, Tensor};
use crate::layout::descriptor as at;

/// The words that say what lies in the slot, and how long the slot is.
pub(super) const FORM_AT: [usize; 12] = [
    at::AT_FLAGS,
    at::AT_FORMAT,
    at::AT_HEIGHT,
    at::AT_PLANE_OFFSETS,
    at::AT_PLANE_OFFSETS + 8,
    at::AT_LINESIZES,
    at::AT_LINESIZES + 8,
    at::AT_SLOT_BYTES,
    at::AT_CLOCK,
    at::AT_SHAPE,
    at::AT_SHAPE + 8,
    at::AT_SHAPE + 16,
];

/// Those words, without what else stands in two of them. Pictures in a row have the same: so what they say
/// is proven once and then known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form([u64; FORM_AT.len()]);

impl Form {
    pub(crate) fn hear(word: impl Fn(usize) -> u64) -> Self {
        Self(FORM_AT.map(|place| word(place) & Self::of_it(place)))
    }

    /// Whether a descriptor's words are these; without a copy, for nearly always they are. Written out: a loop
    /// over the places would be three times as long.
    #[inline(always)]
    fn is_in(&self, word: impl Fn(usize) -> u64) -> bool {
        let differ = |number: usize| self.0[number] ^ word(FORM_AT[number]);
        let shared = (differ(0) | differ(8)) & Self::of_it(at::AT_FLAGS);
        let first = differ(1) | differ(2) | differ(3) | differ(4) | differ(5);
        let second = differ(6) | differ(7) | differ(9) | differ(10) | differ(11);
        shared | first | second == 0
    }

    /// The bits of a word that are the form's.
    #[inline(always)]
    fn of_it(place: usize) -> u64 {
        let shared = matches!(place, at::AT_FLAGS | at::AT_CLOCK);
        if shared { !u64::from(u32::MAX) } else { u64::MAX }
    }

    pub(crate) fn of(content: &Content, slot_bytes: u64) -> Self {
        let mut bytes = [0; at::BYTES];
        match content {
            Content::Picture(picture) => put_picture(&mut bytes, picture),
            Content::Tensor(tensor) => put_tensor(&mut bytes, tensor),
        }
        bytes[at::AT_SLOT_BYTES..][..8].copy_from_slice(&slot_bytes.to_le_bytes());
        let (words, _) = bytes.as_chunks::<8>();
        Self(FORM_AT.map(|place| u64::from_le_bytes(words[place / 8])))
    }

    /// In the order of [`FORM_AT`].
    #[inline]
    pub(super) fn words(&self) -> [u64; FORM_AT.len()] {
        self.0
    }

    /// A descriptor with nothing else in it.
    fn bytes(&self) -> [u8; at::BYTES] {
        let mut bytes = [0; at::BYTES];
        for (place, word) in FORM_AT.into_iter().zip(self.0) {
            bytes[place..place + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[inline(always)]
    pub(crate) fn slot_bytes(&self) -> u64 {
        self.0[SLOT_BYTES]
    }

    /// `None` for an unknown pixel format or element type, more axes than there are, or what does not lie
    /// in its slot: every visible row of every plane, or every element.
    pub(crate) fn content(&self) -> Option<Content> {
        let bytes = self.bytes();
        let content = match get(&bytes, at::AT_FORMAT) {
            at::TENSOR => Content::Tensor(get_tensor(&bytes)?),
            _ => Content::Picture(get_picture(&bytes)?),
        };
        content.misfit(self.slot_bytes()).is_none().then_some(content)
    }
}

/// Those that are not the form's alone.
const _: () = assert!(FORM_AT[0] == at::AT_FLAGS && FORM_AT[8] == at::AT_CLOCK);
const SLOT_BYTES: usize = 7;
const _: () = assert!(FORM_AT[SLOT_BYTES] == at::AT_SLOT_BYTES);

fn put_picture(bytes: &mut [u8; at::BYTES], picture: &Picture) {
    let Picture { width, height, format, colour, planes } = picture;
    put(bytes, at::AT_FORMAT, &[*format as u32]);
    put(bytes, at::AT_PLANES, &[u32::try_from(format.planes()).unwrap_or(0)]);
    put(bytes, at::AT_WIDTH, &[*width]);
    put(bytes, at::AT_HEIGHT, &[*height]);
    put(bytes, at::AT_PLANE_OFFSETS, &planes.map(|plane| plane.offset));
    put(bytes, at::AT_LINESIZES, &planes.map(|plane| plane.linesize));
    let Colour { range, matrix, primaries, transfer } = *colour;
    bytes[at::AT_COLOUR..at::AT_COLOUR + 4].copy_from_slice(&[range, matrix, primaries, transfer]);
}

fn put_tensor(bytes: &mut [u8; at::BYTES], tensor: &Tensor) {
    put(bytes, at::AT_FORMAT, &[at::TENSOR]);
    put(bytes, at::AT_DTYPE, &[tensor.dtype as u32]);
    put(bytes, at::AT_AXES, &[u32::try_from(tensor.shape().len()).unwrap_or(0)]);
    put(bytes, at::AT_SHAPE, tensor.shape());
    put(bytes, at::AT_STRIDES, tensor.strides());
    put(bytes, at::AT_OFFSET, &[tensor.offset]);
}

fn put(bytes: &mut [u8; at::BYTES], place: usize, halves: &[u32]) {
    for (bytes, half) in bytes[place..].chunks_exact_mut(4).zip(halves) {
        bytes.copy_from_slice(&half.to_le_bytes());
    }
}

fn get_picture(bytes: &[u8; at::BYTES]) -> Option<Picture> {
    let &[range, matrix, primaries, transfer] =
        bytes[at::AT_COLOUR..].first_chunk().unwrap_or(&[0; 4]);
    Some(Picture {
        width: get(bytes, at::AT_WIDTH),
        height: get(bytes, at::AT_HEIGHT),
        format: PixelFormat::from_code(get(bytes, at::AT_FORMAT))?,
        colour: Colour { range, matrix, primaries, transfer },
        planes: std::array::from_fn(|plane| PlaneLayout {
            offset: get(bytes, at::AT_PLANE_OFFSETS + plane * 4),
            linesize: get(bytes, at::AT_LINESIZES + plane * 4),
        }),
    })
}

fn get_tensor(bytes: &[u8; at::BYTES]) -> Option<Tensor> {
    let list =
        |place| -> [u32; at::AXES_MAX] { std::array::from_fn(|axis| get(bytes, place + axis * 4)) };
    let axes = get(bytes, at::AT_AXES) as usize;
    Tensor::strided(
        DType::from_code(get(bytes, at::AT_DTYPE))?,
        list(at::AT_SHAPE).get(..axes)?,
        list(at::AT_STRIDES).get(..axes)?,
        get(bytes, at::AT_OFFSET),
    )
}

fn get(bytes: &[u8; at::BYTES], place: usize) -> u32 {
    u32::from_le_bytes(bytes[place..place + 4].try_into().unwrap_or_default())
}

/// What a writer shows: proven to fit its slot and put into words when it changes.
#[derive(Debug)]
pub(crate) struct Shown {
    /// `None` before the first.
    content: Option<Content>,
    pub(crate) form: Form,
}

impl Default for Shown {
    fn default() -> Self {
        Self { content: None, form: Form([0; FORM_AT.len()]) }
    }
}

impl Shown {
    /// Shows `content` from now on. Whether readers are to be told of a change; an error says what is wrong
    /// with it in slots of that length.
    #[inline]
    pub(crate) fn turn_to(
        &mut self,
        content: &Content,
        slot_bytes: u64,
    ) -> Result<bool, &'static str> {
        if self.content.as_ref() == Some(content) && self.form.slot_bytes() == slot_bytes {
            return Ok(false);
        }
        self.change(content, slot_bytes)
    }

    #[cold]
    fn change(&mut self, content: &Content, slot_bytes: u64) -> Result<bool, &'static str> {
        if let Some(what) = content.misfit(slot_bytes) {
            return Err(what);
        }
        self.form = Form::of(content, slot_bytes);
        Ok(self.content.replace(*content).is_some_and(|before| !before.is_like(content)))
    }
}

/// The content of a reader's pictures: proven when its words are new, known again when they are not. And
/// whether it changed since the picture that was taken last.
#[derive(Debug, Default)]
pub(crate) struct Known {
    newest: Option<(Form, Content)>,
    /// The newest is what was taken last, too.
    is_taken: bool,
    /// What was taken last where that is another one.
    taken: Option<Content>,
}

impl Known {
    /// Whether these are the words of what was proven last.
    #[inline(always)]
    pub(crate) fn is(&self, word: impl Fn(usize) -> u64) -> bool {
        self.newest.as_ref().is_some_and(|(form, _)| form.is_in(word))
    }

    /// Proves other words; `false`: nothing that can be.
    #[cold]
    pub(crate) fn learn(&mut self, form: &Form) -> bool {
        let Some(content) = form.content() else { return false };
        let before = self.newest.replace((*form, content));
        if std::mem::take(&mut self.is_taken) {
            self.taken = before.map(|(_, content)| content);
        }
        true
    }

    /// Completes what was heard with what was proven last.
    #[inline(always)]
    pub(crate) fn complete(&self, described: &mut Described) {
        let Some((form, content)) = &self.newest else { return };
        described.slot_bytes = form.slot_bytes();
        described.meta.content = *content;
        // The writer's word may be about a picture that this reader passed over.
        if self.is_taken {
            described.meta.format_change = false;
        } else if let Some(taken) = &self.taken {
            described.meta.format_change = !taken.is_like(content);
        }
    }

    /// Length of the slots of what was proven last.
    #[inline(always)]
    pub(crate) fn slot_bytes(&self) -> u64 {
        self.newest.as_ref().map_or(0, |(form, _)| form.slot_bytes())
    }

    /// The picture completed last was taken.
    #[inline(always)]
    pub(crate) fn took(&mut self) {
        self.is_taken = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gray(width: u32, height: u32, linesize: u32) -> Content {
        let packed = Picture::packed(8, 8, PixelFormat::Gray8, 1).unwrap();
        let mut planes = packed.planes;
        planes[0] = PlaneLayout { offset: 64, linesize };
        Picture { width, height, planes, ..packed }.into()
    }

    #[test]
    fn a_content_that_leaves_its_slot_does_not_fit() {
        let fits = |content, bytes| Form::of(&content, bytes).content() == Some(content);
        assert!(fits(gray(8, 2, 8), 64 + 16));
        assert!(!fits(gray(8, 2, 8), 64 + 15));
        assert!(!fits(gray(8, 2, 7), 1000), "rows overlap");
        assert!(!fits(gray(0, 2, 8), 1000), "empty");
        assert!(!fits(gray(u32::MAX, u32::MAX, u32::MAX), u64::from(u32::MAX)));
        let tensor = Content::from(Tensor::dense(DType::F32, &[4, 4]).unwrap());
        assert!(fits(tensor, 64) && !fits(tensor, 63));
    }

    #[test]
    fn an_unknown_format_or_element_type_is_no_content() {
        let tensor = Tensor::dense(DType::U8, &[64]).unwrap();
        let content = |place: usize, half: u32| {
            let mut bytes = Form::of(&tensor.into(), 64).bytes();
            put(&mut bytes, place, &[half]);
            form(&bytes).content()
        };
        assert!(content(at::AT_AXES, 1).is_some());
        assert_eq!(content(at::AT_AXES, 7), None);
        assert_eq!(content(at::AT_DTYPE, 0x0540), None);
        assert_eq!(content(at::AT_FORMAT, at::TENSOR + 1), None);
    }

    fn form(bytes: &[u8; at::BYTES]) -> Form {
        Form::hear(|place| u64::from_le_bytes(bytes[place..place + 8].try_into().unwrap()))
    }

    /// Takes pictures of these contents but those of which it is told not to; what it says of each change.
    fn changes(pictures: &[(Content, bool)]) -> Vec<bool> {
        let mut known = Known::default();
        let changes = pictures.iter().map(|(content, is_taken)| {
            let mut described = Described::blank();
            described.meta.format_change = true;
            let told = Form::of(content, 1 << 20);
            let bytes = told.bytes();
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
            assert!(known.is(word) || known.learn(&told));
            known.complete(&mut described);
            assert_eq!(described.meta.content, *content);
            if *is_taken {
                known.took();
            }
            described.meta.format_change
        });
        changes.collect()
    }

    #[test]
    fn a_change_is_one_since_the_picture_taken_last() {
        let (small, large, padded) = (gray(8, 8, 8), gray(16, 8, 16), gray(8, 8, 64));
        let taken = [(small, true), (small, true), (large, true), (large, true), (small, true)];
        assert_eq!(changes(&taken), [true, false, true, false, true], "the writer's word at first");
        let passed_over = [(small, true), (large, false), (large, false), (small, true)];
        assert_eq!(changes(&passed_over), [true, true, true, false]);
        let elsewhere = [(small, true), (padded, true), (padded, false), (large, true)];
        assert_eq!(changes(&elsewhere), [true, false, false, true]);
    }

    /// Random bytes of which the format is one that exists: others are refused at once.
    fn scribbled() -> impl Strategy<Value = [u8; at::BYTES]> {
        let bytes = proptest::collection::vec(any::<u8>(), at::BYTES);
        let small = proptest::collection::vec(0u32..2000, 10);
        (bytes, small, 0u32..12, any::<[bool; 10]>()).prop_map(|(bytes, small, format, tame)| {
            let mut all = <[u8; at::BYTES]>::try_from(bytes).unwrap();
            let offsets = (0..4).map(|plane| at::AT_PLANE_OFFSETS + plane * 4);
            let linesizes = (0..4).map(|plane| at::AT_LINESIZES + plane * 4);
            let places = [at::AT_WIDTH, at::AT_HEIGHT].into_iter().chain(offsets).chain(linesizes);
            // Wild numbers alone would never come near to fitting.
            for ((place, value), _) in places.zip(small).zip(tame).filter(|(_, tame)| *tame) {
                all[place..place + 4].copy_from_slice(&value.to_le_bytes());
            }
            all[at::AT_FORMAT..at::AT_FORMAT + 4].copy_from_slice(&format.to_le_bytes());
            all
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_scribbled_picture_never_passes_the_slot(bytes in scribbled(), slot in 0u64..1 << 24) {
            let mut bytes = bytes;
            bytes[at::AT_SLOT_BYTES..][..8].copy_from_slice(&slot.to_le_bytes());
            if let Some(Content::Picture(picture)) = form(&bytes).content() {
                for plane in 0..picture.format.planes() {
                    let extent = picture.format.plane_extent(plane, picture.width, picture.height);
                    let layout = picture.planes[plane];
                    let end = u64::from(layout.offset)
                        + u64::from(layout.linesize) * u64::from(extent.rows - 1)
                        + u64::from(extent.row_bytes);
                    prop_assert!(end <= slot && extent.row_bytes <= layout.linesize);
                }
            }
        }
    }
}
