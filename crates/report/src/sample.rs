//! A small summary and page for tests, and a check that every SVG must pass.

use std::collections::BTreeMap;

use crate::page::{Block, Highlight, Page, Section};
use crate::summary::{
    DataFile, DataKind, Gate, MatchAxis, Matched, Predictor, PredictorInputs, Residual, SUMMARY_SCHEMA,
    Summary,
};

pub(crate) fn summary() -> Summary {
    let gate = |id: &str, pass| Gate {
        id: id.to_owned(),
        claim: format!("claim of {id}"),
        pass,
        figure: format!("figure of {id}"),
        per_seed: pass.map_or(vec![], |pass| vec![pass, true]),
    };
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        study: "parity".to_owned(),
        preset: "quick".to_owned(),
        data: DataKind::Real,
        verdict: vec!["RL forgets less.".to_owned(), "KL predicts it.".to_owned()],
        gates: vec![gate("T1", Some(true)), gate("T2", Some(false)), gate("T10", None)],
        predictors: vec![Predictor {
            task: String::new(),
            name: "kl_reference_to_policy".to_owned(),
            inputs: PredictorInputs::NewTask,
            r2: 0.945,
            r2_low: 0.92,
            r2_high: 0.96,
            spearman: 0.97,
            spearman_low: 0.95,
            spearman_high: 0.98,
            pearson: 0.9,
            r2_monotone: 0.96,
        }],
        matched: vec![matched("GRPO", Some(0.461)), matched("SimPO", None)],
        residuals: vec![Residual {
            task: String::new(),
            method: "oracle SFT".to_owned(),
            mean: -0.015,
            mean_low: -0.025,
            mean_high: -0.005,
        }],
        provenance: vec![DataFile {
            name: "train-images-idx3-ubyte".to_owned(),
            source: "https://example.org/mnist".to_owned(),
            licence: "CC BY-SA 3.0".to_owned(),
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db".to_owned(),
        }],
        environment: BTreeMap::from([("backend".to_owned(), "flex".to_owned())]),
    }
}

fn matched(method: &str, prior_task: Option<f64>) -> Matched {
    Matched {
        task: String::new(),
        axis: MatchAxis::Accuracy,
        level: 0.93,
        method: method.to_owned(),
        new_task: prior_task.map(|_| 0.93),
        new_task_low: None,
        new_task_high: None,
        prior_task,
        prior_task_low: prior_task.map(|value| value - 0.02),
        prior_task_high: prior_task.map(|value| value + 0.02),
        kl_reference_to_policy: prior_task.map(|_| 1.99),
        kl_reference_to_policy_low: None,
        kl_reference_to_policy_high: None,
    }
}

pub(crate) fn page() -> Page {
    Page {
        title: "ParityMNIST".to_owned(),
        subtitle: "Does RL forget less than SFT?".to_owned(),
        highlights: vec![Highlight {
            value: "0.945".to_owned(),
            label: "R² of KL".to_owned(),
            detail: "gate 0.90".to_owned(),
        }],
        sections: vec![Section {
            title: "Frontiers".to_owned(),
            intro: vec!["Run `cargo xtask`.".to_owned()],
            blocks: vec![Block::Text("A paragraph.".to_owned())],
        }],
        rerun: vec!["cargo xtask reproduce parity".to_owned()],
        footer: "Razor".to_owned(),
    }
}

/// Every tag is closed in order and every `&` begins an entity: what an XML parser asks of our documents.
pub(crate) fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends before the next begins");
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        match tag {
            closing if closing.starts_with('/') => assert_eq!(open.pop(), Some(name), "closed in order"),
            alone if alone.ends_with('/') => assert_eq!(alone.matches('"').count() % 2, 0, "{alone}"),
            _ => open.push(name),
        }
        for entity in [tag, text].iter().flat_map(|part| part.split('&').skip(1)) {
            let name = entity.split(';').next().unwrap_or_default();
            assert!(["lt", "gt", "amp", "quot", "apos", "#39"].contains(&name), "&{entity}");
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'), "no control characters in XML");
}
