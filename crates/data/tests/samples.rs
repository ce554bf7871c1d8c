//! The hand-drawn samples in `datasets/` are what they say: the format of the real files.

use std::path::Path;

use razor_data::{DatasetId, IMAGE_LEN, ImageSet, parse_idx_images, parse_idx_labels};

#[test]
fn each_sample_parses_as_the_real_files_do() {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    for (id, expected) in [(DatasetId::Mnist, [1, 0, 7]), (DatasetId::FashionMnist, [1, 8, 0])] {
        let path = |name: &str| datasets.join(id.name()).join("sample").join(name);
        let (images_path, labels_path) = (path("train-images-idx3-ubyte"), path("train-labels-idx1-ubyte"));
        let images = std::fs::read(&images_path).expect("the sample is in the tree");
        let labels = std::fs::read(&labels_path).expect("the sample is in the tree");
        let pixels = parse_idx_images(&images_path, &images).expect("sound images");
        let classes = parse_idx_labels(&labels_path, &labels).expect("sound labels");
        assert_eq!((pixels.len(), classes), (3 * IMAGE_LEN, &expected[..]));
        let set = ImageSet::new(pixels.to_vec(), classes.to_vec());
        assert!((0..3).all(|idx| set.image(idx).contains(&255) && set.image(idx)[0] == 0));
    }
}
