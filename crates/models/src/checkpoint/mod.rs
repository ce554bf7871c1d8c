//! Model folders in Hugging Face's layout: `config.json`, and safetensors in one file or in shards with an index.
//!
//! Weights are read with plain positioned reads, a few MiB at a time, straight into the vector they end in, rather than
//! through a memory map: mapped pages would count as a second copy of the weights, and a file that somebody shortens
//! while it is mapped ends the process (SIGBUS) where a read returns an error.

mod folder;
mod header;
mod numbers;
mod reader;
mod report;
mod writer;

#[cfg(feature = "hub")]
pub(crate) use folder::{COMPANIONS, INDEX_FILE, MODEL_FILE, WeightFiles, read_index, weight_files};
pub use folder::{PartialFolder, fingerprint_model, fingerprint_weights};
pub use reader::{Checkpoint, HostData, HostTensor, WeightDtype};
pub use report::{Ignored, LoadReport};
pub use writer::{save_model, write_tensors};
