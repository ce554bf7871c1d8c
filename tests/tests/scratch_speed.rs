use burn::tensor::{DType, Device};
use razor_models::*;
use std::time::Instant;
const Q: &str = r#"{
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "hidden_size": 896,
    "intermediate_size": 4864, "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
    "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": true,
    "use_sliding_window": false, "vocab_size": 151936
}"#;
#[test]
fn speed() {
    let config = LmConfig::parse(std::path::Path::new("x"), Q).unwrap();
    let device = Device::flex();
    for narrow in [false, true] {
        let t = Instant::now();
        let d = Decoder::build(&config, DType::F32, &device, |spec| {
            let n: usize = spec.shape.iter().product();
            let mut s = 12345u32;
            let it = (0..n).map(|_| {
                s = s.wrapping_mul(1664525).wrapping_add(1013904223);
                ((s >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.05
            });
            let data = if narrow && spec.shape.len() == 2 {
                HostData::Bf16(it.map(half::bf16::from_f32).collect())
            } else {
                HostData::F32(it.collect())
            };
            Ok::<_, ()>(HostTensor { shape: spec.shape.clone(), data })
        })
        .unwrap();
        println!("bf16 {narrow} build {:?}", t.elapsed());
        let ids: Vec<u32> = (0..512).map(|i| (i * 7919) % 151936).collect();
        for _ in 0..3 {
            let t = Instant::now();
            let mut cache = KvCache::new(&config, &[0], 512, DType::F32, &device);
            let h = d.forward(&TokenRows::right_padded(&[&ids[..]]), Some(&mut cache), &mut NoTap);
            let l = d.logits(h.slice([0..1, 511..512]).reshape([1, 896]));
            let _ = l.into_data();
            let s = t.elapsed().as_secs_f64();
            println!("prefill {:.3} s {:.0} tok/s", s, 512.0 / s);
        }
        for batch in [1usize, 8] {
            let rows: Vec<&[u32]> = (0..batch).map(|_| &ids[..64]).collect();
            let mut cache = KvCache::new(&config, &vec![0; batch], 64 + 24, DType::F32, &device);
            d.forward(&TokenRows::right_padded(&rows), Some(&mut cache), &mut NoTap);
            let t = Instant::now();
            for _ in 0..20 {
                let rows: Vec<[u32; 1]> = vec![[5]; batch];
                let h = d.forward(&TokenRows::right_padded(&rows), Some(&mut cache), &mut NoTap);
                let _ = d.logits(h.reshape([batch, 896])).into_data();
            }
            let s = t.elapsed().as_secs_f64();
            println!("decode {batch}: {:.2} tok/s", 20.0 * batch as f64 / s);
        }
    }
}
