//! Model folders: what is written reads back, and damaged or foreign files are refused by file and tensor.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use proptest::prelude::*;
use razor_models::{
    Checkpoint, HostData, HostTensor, LmConfig, ModelError, TensorSpec, WeightDtype, fingerprint_model,
    fingerprint_weights, save_model,
};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;

const INDEX: &str = "model.safetensors.index.json";

fn config(tied: bool) -> LmConfig {
    let config = json!({
        "model_type": "llama", "hidden_size": 8, "intermediate_size": 6, "num_attention_heads": 2,
        "num_key_value_heads": 1, "num_hidden_layers": 1, "vocab_size": 5, "tie_word_embeddings": tied
    });
    LmConfig::parse(Path::new("config.json"), &config.to_string()).expect("the config is sound")
}

/// Numbers that bf16 holds exactly, other ones for every tensor.
fn values(spec: &TensorSpec) -> Vec<f32> {
    let first = spec.name.bytes().map(usize::from).sum::<usize>();
    (0..spec.shape.iter().product()).map(|idx| ((first + 7 * idx) % 199) as f32 / 64.0 - 1.5).collect()
}

fn tensor(spec: &TensorSpec) -> HostTensor {
    HostTensor { shape: spec.shape.clone(), data: HostData::F32(values(spec)) }
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}

fn bytes_of(values: &[f32], dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect(),
    }
}

/// One file as the safetensors library writes it.
fn serialized(tensors: &[(TensorSpec, Vec<f32>)], dtype: Dtype) -> Vec<u8> {
    let stored: Vec<_> = tensors.iter().map(|(spec, values)| (spec, bytes_of(values, dtype))).collect();
    let views = stored.iter().map(|(spec, bytes)| {
        (spec.name.as_str(), TensorView::new(dtype, spec.shape.clone(), bytes).expect("bytes fit the shape"))
    });
    safetensors::serialize(views, None).expect("names are unique")
}

fn with_values(specs: &[TensorSpec]) -> Vec<(TensorSpec, Vec<f32>)> {
    specs.iter().map(|spec| (spec.clone(), values(spec))).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a temporary folder takes files");
}

/// A folder with these tensors in one f32 file.
fn folder(tensors: &[(TensorSpec, Vec<f32>)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    write(&dir.path().join("model.safetensors"), &serialized(tensors, Dtype::F32));
    dir
}

/// A folder with two shards and an index, changed by `change` before it is opened.
fn sharded(
    change: impl FnOnce(&Path, &mut BTreeMap<String, String>),
) -> (tempfile::TempDir, Result<Checkpoint, ModelError>) {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let tensors = with_values(&config(true).tensors());
    let mut map = BTreeMap::new();
    for (file, half) in [("a.safetensors", &tensors[..4]), ("b.safetensors", &tensors[4..])] {
        write(&dir.path().join(file), &serialized(half, Dtype::F32));
        map.extend(half.iter().map(|(spec, _)| (spec.name.clone(), file.to_owned())));
    }
    change(dir.path(), &mut map);
    if !dir.path().join(INDEX).exists() {
        write(&dir.path().join(INDEX), json!({"weight_map": map}).to_string().as_bytes());
    }
    let outcome = Checkpoint::open(dir.path());
    (dir, outcome)
}

fn refusal<T>(outcome: Result<T, ModelError>) -> String {
    outcome.err().expect("this is refused").to_string()
}

fn names_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("the entry is there").file_name().into();
    let mut names: Vec<PathBuf> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn every_type_is_read_as_every_other() {
    let specs = config(false).tensors();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("model.safetensors"), serialized(&with_values(&specs), dtype)).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let report = checkpoint.check(&config(false)).unwrap();
        assert_eq!((report.n_tensors, report.dtypes.len(), report.ignored.len()), (specs.len(), 1, 0));
        for spec in &specs {
            let wide = checkpoint.read(spec, WeightDtype::F32).unwrap();
            assert_eq!(wide, tensor(spec), "{dtype:?}");
            let narrow = checkpoint.read(spec, WeightDtype::Bf16).unwrap();
            assert_eq!(narrow.data, HostData::Bf16(values(spec).into_iter().map(bf16::from_f32).collect()));
        }
    }
}

#[test]
fn a_tensor_of_many_chunks_is_read_whole() {
    let spec = spec("model.norm.weight", &[700, 601]); // 1.6 MiB, no multiple of a chunk
    let dir = folder(&with_values(std::slice::from_ref(&spec)));
    assert_eq!(Checkpoint::open(dir.path()).unwrap().read(&spec, WeightDtype::F32).unwrap(), tensor(&spec));
    let mut broken = values(&spec);
    broken[400_000] = f32::NAN;
    let dir = folder(&[(spec.clone(), broken)]);
    let message = refusal(Checkpoint::open(dir.path()).unwrap().read(&spec, WeightDtype::Bf16));
    assert!(
        message.contains("model.safetensors: tensor `model.norm.weight` value 400000 is not"),
        "{message}"
    );
}

#[test]
fn a_shared_embedding_may_have_either_name_or_both() {
    let config = config(true);
    let (embedding, head) = (config.tensors()[0].clone(), spec("lm_head.weight", &[5, 8]));
    let mut tensors = with_values(&config.tensors());
    let open = |tensors: &[(TensorSpec, Vec<f32>)]| {
        let dir = folder(tensors);
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let report = checkpoint.check(&config);
        report.map(|report| (report, checkpoint.read(&embedding, WeightDtype::F32).unwrap()))
    };
    assert_eq!(open(&tensors).unwrap().1, tensor(&embedding));
    tensors.push((head, values(&embedding)));
    let (report, _) = open(&tensors).unwrap();
    assert_eq!(report.ignored[0].name, "lm_head.weight");
    let (report, read) = open(&tensors[1..]).unwrap();
    assert!(report.embedding_is_lm_head);
    assert_eq!(read, tensor(&embedding));
    tensors.last_mut().unwrap().1[3] += 1.0;
    assert!(refusal(open(&tensors)).contains("`lm_head.weight` differs from `model.embed_tokens.weight`"));
    let untied = LmConfig { tie_word_embeddings: false, ..config.clone() };
    let dir = folder(&tensors[1..]);
    let message = refusal(Checkpoint::open(dir.path()).unwrap().check(&untied));
    assert!(message.contains("`model.embed_tokens.weight` [5, 8] is missing"), "{message}");
}

#[test]
fn every_misfit_is_listed_at_once() {
    let mut tensors = with_values(&config(false).tensors());
    tensors.retain(|(spec, _)| !spec.name.ends_with("v_proj.weight"));
    tensors[1].0 = spec("model.layers.0.self_attn.q_proj.weight", &[4, 16]);
    for (name, length) in [
        ("model.layers.0.self_attn.q_norm.weight", 4),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", 2),
        ("model.layers.x.self_attn.rotary_emb.inv_freq", 2),
    ] {
        tensors.push((spec(name, &[length]), vec![1.0; length]));
    }
    let dir = folder(&tensors);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let message = refusal(checkpoint.check(&config(false)));
    for part in [
        dir.path().to_str().unwrap(),
        "`model.layers.0.self_attn.v_proj.weight` [4, 8] is missing",
        "`model.layers.0.self_attn.q_proj.weight` has shape [4, 16], expected [8, 8]",
        "`model.layers.0.self_attn.q_norm.weight` [4] is not expected",
        "`model.layers.x.self_attn.rotary_emb.inv_freq` [2] is not expected",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(!message.contains("layers.0.self_attn.rotary_emb"), "{message}");
    let read = |spec: &TensorSpec| refusal(checkpoint.read(spec, WeightDtype::F32));
    assert!(
        read(&spec("model.norm.weight", &[9])).contains("`model.norm.weight` has shape [8], expected [9]")
    );
    assert!(read(&spec("none", &[9])).contains("`none` is missing"));
}

#[test]
fn weights_that_are_no_floats_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tensors = with_values(&config(true).tensors());
    fs::write(dir.path().join("model.safetensors"), serialized(&tensors, Dtype::F64)).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert!(refusal(checkpoint.check(&config(true))).contains("`model.norm.weight` is of type F64"));
    let message = refusal(checkpoint.read(&spec("model.norm.weight", &[8]), WeightDtype::F32));
    assert!(message.contains("`model.norm.weight` is of type F64, expected F32, F16 or BF16"), "{message}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = serialized(&with_values(&config(true).tensors()), Dtype::F32);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for length in [0, 1, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(refusal(Checkpoint::open(dir.path())).contains("model.safetensors"), "{length}");
    }
    for header_len in [u64::MAX, 1 << 62, 100_000_001, whole.len() as u64] {
        fs::write(&path, [&header_len.to_le_bytes(), &whole[8..]].concat()).unwrap();
        assert!(refusal(Checkpoint::open(dir.path())).contains(&format!("header of {header_len} bytes")));
    }
    // Cut after it was opened: an error where a memory map would end the process.
    fs::write(&path, &whole).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(200).unwrap();
    let message = refusal(checkpoint.read(&config(true).tensors()[0], WeightDtype::F32));
    assert!(message.contains("tensor `model.embed_tokens.weight` cannot be read"), "{message}");
}

#[test]
fn shards_are_read_like_one_file() {
    let dir_of_one = folder(&with_values(&config(true).tensors()));
    let (_dir, many) = sharded(|_, _| {});
    let (one, many) = (Checkpoint::open(dir_of_one.path()).unwrap(), many.unwrap());
    many.check(&config(true)).unwrap();
    for spec in config(true).tensors() {
        let read = |checkpoint: &Checkpoint| checkpoint.read(&spec, WeightDtype::F32).unwrap();
        assert_eq!(read(&many), read(&one));
    }
    assert_eq!(many.names().count(), one.names().count());
}

#[test]
fn threads_may_read_one_checkpoint() {
    let specs = config(false).tensors();
    let dir = folder(&with_values(&specs));
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (checkpoint, specs) = (&checkpoint, &specs);
            scope.spawn(move || {
                for idx in 0..400 {
                    let spec = &specs[(first + idx) % specs.len()];
                    assert_eq!(checkpoint.read(spec, WeightDtype::F32).unwrap(), tensor(spec));
                }
            });
        }
    });
}

#[test]
fn shards_that_disagree_with_their_index_are_refused() {
    let norm = "model.norm.weight";
    let refused = |change: &dyn Fn(&Path, &mut BTreeMap<String, String>)| {
        refusal(sharded(|dir, map| change(dir, map)).1)
    };
    let move_to = |file: &'static str| {
        refusal(sharded(move |_, map| drop(map.insert("model.norm.weight".to_owned(), file.to_owned()))).1)
    };
    for outside in [
        "../b.safetensors",
        "/b.safetensors",
        "x/b.safetensors",
        "x\\b.safetensors",
        "..",
        "",
        "b.bin",
        "C:b.safetensors",
    ] {
        let message = move_to(outside);
        assert!(message.contains(INDEX) && message.contains(norm), "{outside}: {message}");
    }
    assert!(move_to("a.safetensors").contains("`model.norm.weight` is in "));
    assert!(move_to("gone.safetensors").contains("lacks the shards gone.safetensors"));
    let unlisted = refused(&|_, map| drop(map.remove(norm)));
    assert!(
        unlisted.contains("`model.norm.weight` is in ") && unlisted.contains("not in the index"),
        "{unlisted}"
    );
    let extra = refused(&|_, map| drop(map.insert("extra".into(), "a.safetensors".into())));
    assert!(extra.contains("`extra` is not in a.safetensors"), "{extra}");
    let twice = refused(&|dir, _| {
        let all = serialized(&with_values(&config(true).tensors()), Dtype::F32);
        fs::write(dir.join("a.safetensors"), all).unwrap();
    });
    assert!(twice.contains("b.safetensors: tensor `") && twice.contains("a.safetensors too"), "{twice}");
    let two = refused(&|dir, _| fs::write(dir.join("model.safetensors"), "").unwrap());
    assert!(two.contains("model.safetensors too"), "{two}");
}

#[test]
fn an_index_that_is_none_is_refused() {
    for (text, part) in [
        ("", "bad index"),
        ("{}", "weight_map"),
        (r#"{"weight_map": {}}"#, "names no tensor"),
        (r#"{"weight_map": {"a": 1}}"#, "`a`"),
        (r#"{"weight_map": {"a": "a.safetensors", "a": "b.safetensors"}}"#, "`a` stands there twice"),
    ] {
        let message = refusal(sharded(|dir, _| fs::write(dir.join(INDEX), text).unwrap()).1);
        assert!(message.contains(INDEX) && message.contains(part), "{message}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(Checkpoint::open(dir.path())).contains("has neither model.safetensors nor"));
    fs::write(dir.path().join("pytorch_model.bin"), "").unwrap();
    assert!(refusal(Checkpoint::open(dir.path())).contains("save the model as safetensors"));
}

#[cfg(unix)]
#[test]
fn another_template_is_another_model_of_the_same_weights() {
    let tensors = with_values(&config(true).tensors());
    let (dir, other) = (folder(&tensors), folder(&tensors));
    write(&other.path().join("chat_template.jinja"), b"{{ messages }}");
    let of = |dir: &tempfile::TempDir| {
        [fingerprint_model(dir.path()), fingerprint_weights(dir.path())]
            .map(|done| done.expect("files are there"))
    };
    let ([model, weights], [other_model, same_weights]) = (of(&dir), of(&other));
    assert_ne!(model, other_model);
    assert_eq!(weights, same_weights);
    let mut changed = tensors;
    changed[0].1[0] += 1.0;
    assert_ne!(of(&folder(&changed))[1], weights);
}

#[test]
fn links_of_the_hub_cache_are_followed() {
    let real = folder(&with_values(&config(true).tensors()));
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("model.safetensors");
    std::os::unix::fs::symlink(real.path().join("model.safetensors"), link).unwrap();
    Checkpoint::open(dir.path()).unwrap().check(&config(true)).unwrap();
}

#[test]
fn a_saved_folder_reads_back_bit_for_bit_in_one_file_or_many() {
    let config = config(false);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), "{\"not\": \"touched\"}").unwrap();
    for (dtype, name) in [(WeightDtype::F32, "F32"), (WeightDtype::Bf16, "BF16")] {
        let n_tensors = config.tensors().len();
        for (most, n_files) in [(u64::MAX, 1..=1), (700, 2..=n_tensors - 1), (1, n_tensors..=n_tensors)] {
            let target = dir.path().join(format!("deep/{name}-{most}"));
            let (json, specs) = (config.to_json(), config.tensors());
            save_model(&target, &json, Some(dir.path()), &specs, dtype, most, &mut |spec| Ok(tensor(spec)))
                .unwrap();
            let names = names_in(&target);
            let is_weights = |name: &&PathBuf| name.extension().is_some_and(|end| end == "safetensors");
            let n_weights = names.iter().filter(is_weights).count();
            assert!(n_files.contains(&n_weights), "{names:?}");
            assert_eq!(names.contains(&INDEX.into()), n_weights > 1);
            assert_eq!(fs::read(target.join("tokenizer.json")).unwrap(), b"{\"not\": \"touched\"}");
            assert_eq!(LmConfig::load(&target).unwrap(), config);
            let checkpoint = Checkpoint::open(&target).unwrap();
            assert_eq!(checkpoint.check(&config).unwrap().dtypes, [name]);
            for spec in &specs {
                assert_eq!(checkpoint.read(spec, WeightDtype::F32).unwrap(), tensor(spec));
            }
        }
    }
    assert_eq!(names_in(&dir.path().join("deep")).len(), 6, "no temporary folder is left");
}

#[test]
fn a_save_that_fails_leaves_nothing_and_touches_nothing() {
    let config = config(false);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("model");
    let save = |read: &mut dyn FnMut(&TensorSpec) -> Result<HostTensor, ModelError>| {
        let specs = config.tensors();
        refusal(save_model(&target, &config.to_json(), None, &specs, WeightDtype::Bf16, 500, read))
    };
    let change = |name: &'static str, change: fn(&mut HostTensor)| {
        move |spec: &TensorSpec| {
            let mut tensor = tensor(spec);
            if spec.name == name {
                change(&mut tensor);
            }
            Ok(tensor)
        }
    };
    fn put(tensor: &mut HostTensor, value: f32) {
        let HostData::F32(values) = &mut tensor.data else { panic!("tensors of this test are f32") };
        values[2] = value;
    }
    let nan = save(&mut change("model.norm.weight", |tensor| put(tensor, f32::NAN)));
    assert!(nan.contains("`model.norm.weight` value 2 is not a finite number"), "{nan}");
    let large = save(&mut change("lm_head.weight", |tensor| put(tensor, f32::MAX)));
    assert!(large.contains("`lm_head.weight` value 2 is too large for bf16"), "{large}");
    let shape = save(&mut change("lm_head.weight", |tensor| tensor.shape.reverse()));
    assert!(shape.contains("`lm_head.weight` has 40 values of shape [8, 5], expected [5, 8]"), "{shape}");
    let message = "there is no such run".to_owned();
    let reason = save(&mut |_| Err(ModelError::Hub { name: "x".into(), reason: message.clone() }));
    assert!(reason.contains(&message));
    assert!(names_in(dir.path()).is_empty());

    fs::create_dir(&target).unwrap();
    fs::write(target.join("notes.txt"), "mine").unwrap();
    assert!(save(&mut |spec| Ok(tensor(spec))).contains("exists and is not empty"));
    assert_eq!(names_in(&target), [PathBuf::from("notes.txt")]);
    fs::remove_file(target.join("notes.txt")).unwrap();
    let specs = [config.tensors(), vec![spec("lm_head.weight", &[1])]].concat();
    let twice = save_model(&target, &config.to_json(), None, &specs, WeightDtype::F32, 500, &mut |spec| {
        Ok(tensor(spec))
    });
    assert!(refusal(twice).contains("`lm_head.weight` has a name that is taken"));
    let specs = config.tensors();
    save_model(&target, &config.to_json(), None, &specs, WeightDtype::F32, 500, &mut |spec| Ok(tensor(spec)))
        .unwrap();
}

fn open_all(folder: &Path) {
    if let Ok(checkpoint) = Checkpoint::open(folder) {
        let _ = checkpoint.check(&config(true));
        for spec in config(true).tensors() {
            if let Ok(tensor) = checkpoint.read(&spec, WeightDtype::F32) {
                let HostData::F32(values) = tensor.data else { panic!("f32 was asked for") };
                assert!(values.iter().all(|value| value.is_finite()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), header in "[{}\\[\\]\",:a-zF0-9]{0,60}") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        fs::write(&path, &bytes).unwrap();
        open_all(dir.path());
        fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes].concat()).unwrap();
        open_all(dir.path());
        fs::write(dir.path().join(INDEX), &header).unwrap();
        open_all(dir.path());
    }

    #[test]
    fn no_change_of_a_sound_file_makes_the_reader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = serialized(&with_values(&config(true).tensors()), Dtype::F32);
        let header_end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (place, value) in changes {
            let place = place.index(header_end);
            bytes[place] = value;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        open_all(dir.path());
    }
}
