//! QR codes, for pages and for terminals.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use qrcode::render::{svg, unicode};
use qrcode::{Color, EcLevel};

/// Modules of light around the code (ISO/IEC 18004, 6.3.8).
const QUIET: usize = 4;
/// Pixels per module of the PNG.
const SCALE: usize = 6;

/// A text as a QR code.
pub struct QrCode(qrcode::QrCode);

impl QrCode {
    /// A text that is too long for a code gives an empty one; ours are some 150 characters.
    pub fn new(text: &str) -> Self {
        let code = qrcode::QrCode::with_error_correction_level(text, EcLevel::M);
        Self(code.unwrap_or_else(|_| qrcode::QrCode::new("").expect("an empty code can be made")))
    }

    /// A data URI with a PNG of two colours.
    pub fn png(&self) -> String {
        let side = (self.0.width() + 2 * QUIET) * SCALE;
        let row_bytes = side.div_ceil(8);
        let mut pixels = vec![0xff_u8; row_bytes * side];
        for (y, row) in pixels.chunks_mut(row_bytes).enumerate() {
            for x in (0..side).filter(|x| self.is_dark(*x / SCALE, y / SCALE)) {
                row[x / 8] &= !(0x80 >> (x % 8));
            }
        }
        let side = u32::try_from(side).expect("a QR code has at most 185 modules");
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let mut writer = encoder.write_header().expect("writing to memory does not fail");
        writer.write_image_data(&pixels).expect("writing to memory does not fail");
        writer.finish().expect("writing to memory does not fail");
        format!("data:image/png;base64,{}", BASE64_STANDARD.encode(file))
    }

    /// A data URI with an SVG.
    pub fn svg(&self) -> String {
        let svg = self.0.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
        format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg))
    }

    /// Lines of block characters, two rows of modules in each; for light text on a dark terminal.
    pub fn text(&self) -> String {
        let colors = (unicode::Dense1x2::Dark, unicode::Dense1x2::Light);
        self.0.render::<unicode::Dense1x2>().dark_color(colors.1).light_color(colors.0).build()
    }

    /// Whether a module is dark; the quiet zone is counted in and light.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let within = QUIET..QUIET + self.0.width();
        within.contains(&x) && within.contains(&y) && self.0[(x - QUIET, y - QUIET)] == Color::Dark
    }
}
