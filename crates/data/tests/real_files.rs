//! The official files, where this machine has them.

use razor_data::{DatasetId, DatasetState, Provenance, Sources, inspect, load_images};

/// First labels of the training sets, as published.
const FIRST_LABELS: [(DatasetId, [u8; 8]); 2] =
    [(DatasetId::Mnist, [5, 0, 4, 1, 9, 2, 1, 3]), (DatasetId::FashionMnist, [9, 0, 0, 3, 0, 2, 7, 2])];

/// Runs only where `RAZOR_DATA` names a folder with both sets; elsewhere it passes without checking anything.
#[test]
fn official_files_load_with_their_published_labels() {
    let Some(dir) = std::env::var_os("RAZOR_DATA").filter(|dir| !dir.is_empty()) else {
        return;
    };
    let sources = Sources::new(Some(dir.into()));
    for (id, first_labels) in FIRST_LABELS {
        let dataset = load_images(id, &sources).expect("RAZOR_DATA holds the official files");
        assert_eq!((dataset.train.len(), dataset.test.len()), (60_000, 10_000));
        assert_eq!(dataset.train.labels()[..8], first_labels);
        assert_eq!(dataset.provenance, Provenance::Real);
        let ink: f64 = dataset.train.images().iter().map(|&level| f64::from(level) / 255.0).sum();
        let mean = ink / dataset.train.images().len() as f64;
        let published = if id == DatasetId::Mnist { 0.1307 } else { 0.2860 };
        assert!((mean - published).abs() < 5e-5, "{id}: {mean} instead of {published}"); // published to 4 digits
        let state = inspect(id, &sources);
        assert!(state.is_sound() && matches!(state, DatasetState::Found { .. }));
    }
}
