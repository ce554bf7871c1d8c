//! A `config.json`. What is accepted says the same after it was written and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use razor_models::LmConfig;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("config.json");
    let Ok(config) = LmConfig::parse(path, text) else { return };
    assert!(config.n_parameters() > 0);
    let frequencies = config.inv_frequencies();
    assert_eq!(frequencies.len(), config.head_dim / 2);
    assert!(frequencies.iter().all(|frequency| frequency.is_finite()), "{config:?}");
    // Biases that only one of the families has are what the other cannot write.
    if config.mlp_bias && config.qkv_bias != config.output_bias {
        return;
    }
    let again = LmConfig::parse(path, &config.to_json().to_string()).expect("what was written is read");
    assert_eq!(again, config);
});
