//! Colours on light and dark pages.

use std::fmt::Write;

use plotters::prelude::RGBColor;

/// A colour on a light page and its counterpart on a dark one.
struct Swatch {
    light: RGBColor,
    dark: RGBColor,
}

const fn swatch(light: u32, dark: u32) -> Swatch {
    Swatch { light: rgb(light), dark: rgb(dark) }
}

const fn rgb(hex: u32) -> RGBColor {
    let [_, red, green, blue] = hex.to_be_bytes();
    RGBColor(red, green, blue)
}

/// Number of series colours; a marker of its own goes with each.
pub(super) const N_SERIES: usize = 10;

/// Series colours: blue, rust, green, pink, gold, sky, violet, bronze, wine, slate.
///
/// Chosen by searching lightness, chroma and small turns of these hues for the set whose closest pair is farthest
/// apart, as normal, protanope, deuteranope and tritanope readers see it.
const SERIES: [Swatch; N_SERIES] = [
    swatch(0x1561BC, 0x446ED5),
    swatch(0xA32F09, 0xE58367),
    swatch(0x049775, 0x56EBA2),
    swatch(0xE071BC, 0xFFCAF9),
    swatch(0xC8A74F, 0xE9B725),
    swatch(0x07ADFE, 0x34B6FF),
    swatch(0x4E1E88, 0xA182BB),
    swatch(0xAB7201, 0x9A6D00),
    swatch(0x730438, 0xC04978),
    swatch(0x5A5E62, 0xABB3B9),
];

pub(super) const SURFACE: RGBColor = rgb(0xFFFFFF);
pub(super) const INK: RGBColor = rgb(0x1F2328);
pub(super) const MUTED: RGBColor = rgb(0x59636E);
pub(super) const GRID: RGBColor = rgb(0xE4E8EC);
pub(super) const AXIS: RGBColor = rgb(0xAFB8C1);
/// Reference lines and their words; [`stylesheet`] dashes the lines and puts a halo around the words.
pub(super) const GUIDE: RGBColor = rgb(0x6E7781);
/// Bars that are not highlighted.
pub(super) const PLAIN_BAR: RGBColor = rgb(0xB6C2CF);

const DARK_SURFACE: RGBColor = rgb(0x0D1117);

const ROLES: [Swatch; 7] = [
    Swatch { light: SURFACE, dark: DARK_SURFACE },
    Swatch { light: INK, dark: rgb(0xE6EDF3) },
    Swatch { light: MUTED, dark: rgb(0x9DA7B3) },
    Swatch { light: GRID, dark: rgb(0x21262D) },
    Swatch { light: AXIS, dark: rgb(0x484F58) },
    Swatch { light: GUIDE, dark: rgb(0x8B949E) },
    Swatch { light: PLAIN_BAR, dark: rgb(0x3D4754) },
];

const FONTS: &str = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

/// The colour of a series index; ink for a series that belongs to no method.
pub(super) fn series_color(color: Option<usize>) -> RGBColor {
    color.map_or(INK, |index| SERIES[index % N_SERIES].light)
}

/// Rules that follow the reader's colour scheme. A viewer without CSS shows the light colours.
pub(super) fn stylesheet() -> String {
    let (guide, surface, dark_surface) = (hex(GUIDE), hex(SURFACE), hex(DARK_SURFACE));
    let mut css = format!(
        ".razor-figure text{{font-family:{FONTS}}}\
         .razor-figure line,.razor-figure polyline{{stroke-linejoin:round;stroke-linecap:round}}\
         .razor-figure [stroke='{guide}']{{stroke-dasharray:14 14}}\
         .razor-figure text[fill='{guide}']{{paint-order:stroke;stroke:{surface};stroke-width:14px}}\
         @media screen and (prefers-color-scheme:dark){{\
         .razor-figure text[fill='{guide}']{{stroke:{dark_surface}}}"
    );
    for Swatch { light, dark } in SERIES.iter().chain(&ROLES) {
        let (light, dark) = (hex(*light), hex(*dark));
        let _ = write!(
            css,
            ".razor-figure [fill='{light}']{{fill:{dark}}}.razor-figure [stroke='{light}']{{stroke:{dark}}}"
        );
    }
    css.push('}');
    css
}

/// As the SVG backend writes it: the rules of [`stylesheet`] match by these attributes.
fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    type Matrix = [[f64; 3]; 3];

    /// Linear RGB as seen with normal vision and without one kind of cone (Machado, Oliveira, Fernandes 2009).
    const VISIONS: [Matrix; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ];
    const TO_CONES: Matrix = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ];
    const TO_OKLAB: Matrix = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ];

    fn times(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
    }

    fn seen(RGBColor(red, green, blue): RGBColor, vision: &Matrix) -> [f64; 3] {
        let linear = [red, green, blue].map(|channel| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        });
        let light = times(vision, linear).map(|channel| channel.clamp(0.0, 1.0));
        times(&TO_OKLAB, times(&TO_CONES, light).map(f64::cbrt))
    }

    #[test]
    fn colours_stay_apart_for_colour_blind_readers() {
        for (vision, scheme) in VISIONS.iter().flat_map(|vision| [(vision, false), (vision, true)]) {
            let colours =
                SERIES.each_ref().map(|swatch| seen(if scheme { swatch.dark } else { swatch.light }, vision));
            for (index, a) in colours.iter().enumerate() {
                for b in &colours[..index] {
                    let distance = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    // 0.02 is about the smallest difference that an eye notices in OKLab.
                    assert!(distance > 0.085, "colour {index}, dark {scheme}: {distance}");
                }
            }
        }
    }

    #[test]
    fn no_two_things_share_a_colour() {
        let colours: BTreeSet<String> = SERIES.iter().chain(&ROLES).map(|swatch| hex(swatch.light)).collect();
        assert_eq!(colours.len(), SERIES.len() + ROLES.len(), "the dark rules match by colour");
    }
}
