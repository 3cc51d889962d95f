//! Pictures drawn by code: a sky, a sun or moon, hills, sometimes the sea or a town. Each seed its own.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JPEG of this quality.
    Jpeg(u8),
    /// PNG.
    Png,
    /// WebP, lossless.
    WebP,
}

type Colour = [f32; 3];

/// Skies from above to the horizon, with a colour for the land that fits.
const SKIES: [(Colour, Colour, Colour); 7] = [
    ([0.20, 0.45, 0.80], [0.80, 0.90, 0.97], [0.20, 0.42, 0.28]),
    ([0.16, 0.20, 0.42], [0.98, 0.66, 0.44], [0.17, 0.14, 0.26]),
    ([0.04, 0.06, 0.16], [0.20, 0.26, 0.46], [0.03, 0.05, 0.10]),
    ([0.46, 0.66, 0.78], [0.95, 0.93, 0.86], [0.36, 0.46, 0.40]),
    ([0.36, 0.28, 0.55], [0.99, 0.80, 0.66], [0.30, 0.20, 0.34]),
    ([0.30, 0.58, 0.72], [0.99, 0.95, 0.76], [0.46, 0.40, 0.24]),
    ([0.62, 0.70, 0.78], [0.90, 0.92, 0.94], [0.30, 0.36, 0.42]),
];

/// Draws picture number `seed`, `width` by `height` pixels.
pub fn draw(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut random = fastrand::Rng::with_seed(seed ^ 0x5eed_f00d);
    let (top, horizon, land) = SKIES[random.usize(..SKIES.len())];
    let (w, h) = (width as f32, height as f32);
    let sun = (random.f32() * w, h * (0.12 + random.f32() * 0.42), h * (0.03 + random.f32() * 0.06));
    let sun_colour: Colour = if top[2] < 0.2 { [0.95, 0.95, 0.88] } else { [1.0, 0.93, 0.70] };
    let layers: Vec<[f32; 5]> = (0..3 + random.usize(..3))
        .map(|_| {
            [
                random.f32() * 6.0,
                random.f32() * 6.0,
                1.0 + random.f32() * 2.0,
                3.0 + random.f32() * 5.0,
                random.f32(),
            ]
        })
        .collect();
    let sea = random.bool();
    let town: Vec<f32> =
        if random.u8(..4) == 0 { (0..24).map(|_| random.f32()).collect() } else { Vec::new() };
    // What depends on the column alone; thousands of pictures are drawn by builds that are hardly optimised.
    let ridges: Vec<Vec<f32>> = layers
        .iter()
        .enumerate()
        .map(|(depth, [a, b, f, g, roughness])| {
            let near = (depth + 1) as f32 / layers.len() as f32;
            let ridge = |x| {
                let u = x as f32 / w;
                let wave = (u * f * 3.1 + a).sin() * 0.6 + (u * g * 2.7 + b).sin() * 0.3 * roughness;
                h * (0.50 + 0.34 * near * near) + wave * h * 0.06 * (1.2 - near * 0.6)
            };
            (0..width).map(ridge).collect()
        })
        .collect();
    let hills: Vec<Colour> = (1..=layers.len())
        .map(|depth| mix(horizon, land, 0.25 + 0.75 * (depth as f32 / layers.len() as f32)))
        .collect();
    let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        let fy = y as f32;
        let sky = mix(top, horizon, (fy / (h * 0.75)).min(1.0).powf(1.4));
        let waves = (fy * 0.9).sin();
        for x in 0..width {
            let fx = x as f32;
            let hill = ridges.iter().rposition(|ridge| fy > ridge[x as usize]);
            let mut colour = hill.map_or(sky, |depth| hills[depth]);
            if hill.is_none() {
                let distance = ((fx - sun.0).powi(2) + (fy - sun.1).powi(2)).sqrt();
                let glow = (1.0 - distance / (sun.2 * 6.0)).clamp(0.0, 1.0).powi(2) * 0.55;
                colour = mix(colour, sun_colour, if distance < sun.2 { 0.97 } else { glow });
            }
            if !town.is_empty() {
                let slot = (fx / w * town.len() as f32) as usize;
                let roof = h * (0.66 - 0.22 * town[slot.min(town.len() - 1)]);
                if fy > roof && fy < h * 0.86 {
                    let lit = (x / 6 + y / 8 * 3 + slot as u32).is_multiple_of(5) && x % 6 > 1 && y % 8 > 2;
                    colour = if lit { [0.98, 0.86, 0.55] } else { mix(land, [0.1, 0.1, 0.14], 0.5) };
                }
            }
            if sea && fy > h * 0.80 {
                let shimmer = (waves * (fx * 0.05 + fy * 0.3).sin() * 0.5 + 0.5) * 0.25;
                colour = mix(mix(top, horizon, 0.35), sun_colour, shimmer * (1.0 - (fx - sun.0).abs() / w));
            }
            for part in colour {
                pixels.push((part.clamp(0.0, 1.0) * 255.0) as u8);
            }
        }
    }
    #[expect(clippy::expect_used, reason = "three bytes were pushed for each pixel")]
    RgbImage::from_raw(width, height, pixels).expect("a whole picture")
}

fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

/// Draws and encodes.
pub fn encoded(seed: u64, width: u32, height: u32, encoding: Encoding) -> Vec<u8> {
    let image = draw(seed, width, height);
    let mut out = Vec::new();
    let result = match encoding {
        Encoding::Jpeg(quality) => JpegEncoder::new_with_quality(&mut out, quality).encode_image(&image),
        Encoding::Png => {
            PngEncoder::new(&mut out).write_image(&image, width, height, ExtendedColorType::Rgb8)
        }
        Encoding::WebP => {
            WebPEncoder::new_lossless(&mut out).encode(&image, width, height, ExtendedColorType::Rgb8)
        }
    };
    #[expect(clippy::expect_used, reason = "encoding an image of a sane size into memory cannot fail")]
    result.expect("a picture drawn by code");
    out
}
