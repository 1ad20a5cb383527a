//! A tiny encoder of H.264 (Baseline, CAVLC): frame-coded pictures that every decoder plays. Macroblocks are sent as they
//! are (I_PCM); between key frames only the two strips of the code change. Sections are of ITU-T H.264.

pub(crate) const WIDTH: u32 = 320;
pub(crate) const HEIGHT: u32 = 96;
/// Pictures from key frame to key frame.
pub(crate) const GROUP: u64 = 25;
const COLUMNS: u32 = WIDTH / 16;
const ROWS: u32 = HEIGHT / 16;
/// Types of macroblocks: I_PCM (table 7-11), and the same in a P slice, where five others come first (7.4.5).
const I_PCM: u32 = 25;
const I_PCM_IN_P: u32 = 5 + I_PCM;

/// Sequence and picture parameter sets as Annex B.
pub(crate) fn sets() -> Vec<u8> {
    let mut sps = Bits::default();
    sps.u(8, 66); // profile_idc: Baseline
    sps.u(8, 0xc0); // constraint_set0_flag and 1
    sps.u(8, 30); // level_idc
    sps.ue(0); // seq_parameter_set_id
    sps.ue(0); // log2_max_frame_num_minus4
    sps.ue(2); // pic_order_cnt_type: decoded as they are shown
    sps.ue(1); // max_num_ref_frames
    sps.u(1, 0); // gaps_in_frame_num_value_allowed_flag
    sps.ue(COLUMNS - 1);
    sps.ue(ROWS - 1);
    sps.u(1, 1); // frame_mbs_only_flag
    sps.u(1, 1); // direct_8x8_inference_flag
    sps.u(2, 0); // neither cropped nor with usability information
    sps.end();
    let mut pps = Bits::default();
    pps.ue(0); // pic_parameter_set_id
    pps.ue(0); // seq_parameter_set_id
    pps.u(2, 0); // entropy_coding_mode_flag: CAVLC; bottom_field_pic_order_in_frame_present_flag
    pps.ue(0); // num_slice_groups_minus1
    pps.ue(0); // num_ref_idx_l0_default_active_minus1
    pps.ue(0); // and l1
    pps.u(3, 0); // weighted_pred_flag, weighted_bipred_idc
    pps.ue(0); // pic_init_qp_minus26
    pps.ue(0); // pic_init_qs_minus26
    pps.ue(0); // chroma_qp_index_offset
    pps.u(3, 0b100); // deblocking_filter_control_present_flag alone
    pps.end();
    [unit(0x67, &sps.bytes), unit(0x68, &pps.bytes)].concat()
}

/// The picture with this code, as Annex B; a key frame where it is a multiple of [`GROUP`].
pub(crate) fn picture(number: u64) -> Vec<u8> {
    let key = number.is_multiple_of(GROUP);
    let mut slice = Bits::default();
    slice.ue(0); // first_mb_in_slice
    slice.ue(if key { 7 } else { 5 }); // slice_type: all I, all P
    slice.ue(0); // pic_parameter_set_id
    slice.u(4, u32::try_from(number % GROUP % 16).expect("four bits")); // frame_num
    if key {
        slice.ue(u32::try_from(number / GROUP % 2).expect("a bit")); // idr_pic_id
        slice.u(2, 0); // no_output_of_prior_pics_flag, long_term_reference_flag
    } else {
        slice.u(2, 0); // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0
        slice.u(1, 0); // adaptive_ref_pic_marking_mode_flag
    }
    slice.ue(0); // slice_qp_delta
    slice.ue(1); // disable_deblocking_filter_idc
    for row in 0..ROWS {
        if key || row == 0 || row == ROWS - 1 {
            for column in 0..COLUMNS {
                if !key {
                    // mb_skip_run: what lies between the strips is as it was.
                    let last_row_begins = row == ROWS - 1 && column == 0;
                    slice.ue(if last_row_begins { (ROWS - 2) * COLUMNS } else { 0 });
                }
                slice.ue(if key { I_PCM } else { I_PCM_IN_P });
                samples(&mut slice, number, column, row);
            }
        }
    }
    slice.end();
    if key { [sets(), unit(0x65, &slice.bytes)].concat() } else { unit(0x41, &slice.bytes) }
}

/// 7.3.5: aligned with zeros, then 256 of luma and 64 of each chroma.
fn samples(slice: &mut Bits, number: u64, column: u32, row: u32) {
    slice.align();
    for y in row * 16..row * 16 + 16 {
        for x in column * 16..column * 16 + 16 {
            slice.bytes.push(luma(number, x, y));
        }
    }
    slice.bytes.extend([128; 128]);
}

fn luma(number: u64, x: u32, y: u32) -> u8 {
    if (16..HEIGHT - 16).contains(&y) {
        return u8::try_from(40 + y).expect("a small picture");
    }
    if super::code_bit(number, x * 32 / WIDTH) { 235 } else { 16 }
}

/// A unit with its start code, and with bytes in between that keep start codes out of it (7.4.1).
fn unit(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, header];
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        unit.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    unit
}

/// Bits, the highest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Free bits in the last byte.
    free: u32,
}

impl Bits {
    fn bit(&mut self, set: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(set) << self.free;
        }
    }

    fn u(&mut self, count: u32, value: u32) {
        for place in (0..count).rev() {
            self.bit(value >> place & 1 == 1);
        }
    }

    /// Exp-Golomb (9.1). Of signed values only zero is written here, which is the same.
    fn ue(&mut self, value: u32) {
        let bits = 32 - (value + 1).leading_zeros();
        self.u(bits - 1, 0);
        self.u(bits, value + 1);
    }

    fn align(&mut self) {
        self.free = 0;
    }

    /// rbsp_trailing_bits.
    fn end(&mut self) {
        self.bit(true);
        self.align();
    }
}
