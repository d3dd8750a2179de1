//! Writes every figure for 2, 8 and 60 paths into a folder, to be looked at: `cargo run --release -p routewright-plot --example gallery -- FOLDER`.

#![expect(clippy::disallowed_methods, reason = "an example may write files and measure time")]
#![expect(clippy::print_stdout, reason = "an example may print")]

mod samples;

use samples::{FIGURES, Sample, path_names};
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give a folder")?);
    std::fs::create_dir_all(&folder)?;
    for n_paths in [2, 8, 60] {
        let sample = Sample { paths: path_names(n_paths), number: |value| value };
        for (name, draw) in FIGURES {
            let begin = Instant::now();
            let figure = draw(&sample)?;
            let elapsed = begin.elapsed().as_secs_f64() * 1e3;
            std::fs::write(folder.join(format!("{name}-{n_paths}.png")), &figure.png)?;
            std::fs::write(folder.join(format!("{name}-{n_paths}.svg")), &figure.svg)?;
            println!("{name}-{n_paths}: {elapsed:.0} ms, {} bytes of PNG, {} bytes of SVG", figure.png.len(), figure.svg.len());
        }
    }
    for (suffix, number) in [("missing", (|_| f64::NAN) as fn(f64) -> f64), ("equal", |_| 0.5)] {
        for (name, draw) in FIGURES {
            let figure = draw(&Sample { paths: path_names(3), number })?;
            std::fs::write(folder.join(format!("{name}-{suffix}.png")), &figure.png)?;
        }
    }
    Ok(())
}
