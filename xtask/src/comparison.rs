//! Figures of several programs side by side: medians over rounds, and their ratios.

use std::fmt::Write;

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

/// One figure. All are rates, so more is faster. A value is a number or an object with a `median`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure {
    /// Key in razor's output.
    pub(crate) key: &'static str,
    /// Key of what it is compared with in the peers' output.
    pub(crate) peer_key: &'static str,
    /// What a person reads.
    pub(crate) label: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// Programs that print it besides razor.
    pub(crate) peers: &'static [&'static str],
}

/// What the programs measured over the rounds.
pub(crate) struct Comparison {
    measures: &'static [Measure],
    /// razor first.
    sides: Vec<Side>,
}

struct Side {
    name: &'static str,
    /// What the program printed, one object per round; empty when it was not there.
    rounds: Vec<Value>,
    /// Median over rounds of each measure.
    medians: Vec<Option<f64>>,
}

impl Side {
    fn new(
        name: &'static str,
        rounds: Vec<Value>,
        measures: &[Measure],
        is_razor: bool,
    ) -> anyhow::Result<Self> {
        let median = |measure: &Measure| {
            if rounds.is_empty() || !(is_razor || measure.peers.contains(&name)) {
                return Ok(None);
            }
            let key = if is_razor { measure.key } else { measure.peer_key };
            let rates: anyhow::Result<Vec<f64>> = rounds.iter().map(|round| rate(round, key)).collect();
            anyhow::Ok(Some(median_of(rates.with_context(|| format!("output of the {name} benchmark"))?)))
        };
        let medians = measures.iter().map(median).collect::<anyhow::Result<_>>()?;
        Ok(Self { name, rounds, medians })
    }
}

impl Comparison {
    /// Reads the rounds of razor and of its peers, each with its name; a peer that was not there has no rounds.
    ///
    /// # Errors
    /// When razor was not measured, a key is missing or its value is not a positive number.
    pub(crate) fn new(
        measures: &'static [Measure],
        ours: Vec<Value>,
        peers: Vec<(&'static str, Vec<Value>)>,
    ) -> anyhow::Result<Self> {
        if ours.is_empty() {
            bail!("razor was not measured");
        }
        let mut sides = vec![Side::new("razor", ours, measures, true)?];
        for (name, rounds) in peers {
            sides.push(Side::new(name, rounds, measures, false)?);
        }
        Ok(Self { measures, sides })
    }

    /// The median that a program reached; `None` when it was not there or does not measure it.
    pub(crate) fn median(&self, program: &str, key: &str) -> Option<f64> {
        let measure = self.measures.iter().position(|measure| measure.key == key)?;
        self.sides.iter().find(|side| side.name == program)?.medians[measure]
    }

    /// razor's median over a peer's.
    pub(crate) fn ratio(&self, peer: &str, key: &str) -> Option<f64> {
        Some(self.median("razor", key)? / self.median(peer, key)?)
    }

    /// Rows of medians and ratios under a heading; a column pair for each peer.
    pub(crate) fn to_table(&self) -> String {
        let mut table = format!("{:<40} {:>12}", "medians over rounds", "razor");
        for side in &self.sides[1..] {
            let name = if side.name == "pytorch" { "PyTorch" } else { side.name };
            write!(table, " {name:>12} {:>8}", "ratio").expect("writing to a string cannot fail");
        }
        table.push('\n');
        for (place, measure) in self.measures.iter().enumerate() {
            let mut cells = vec![shown(self.sides[0].medians[place], measure.digits)];
            for side in &self.sides[1..] {
                cells.push(shown(side.medians[place], measure.digits));
                cells.push(shown(self.ratio(side.name, measure.key), 2));
            }
            push_row(&mut table, measure.label, &cells);
        }
        table
    }

    /// For each measure the medians under the programs' names, `ratio` to the first peer and `ratio_NAME` to each other.
    pub(crate) fn measures_json(&self) -> Value {
        let mut measures = Map::new();
        for (place, measure) in self.measures.iter().enumerate() {
            let mut entry: Map<String, Value> =
                self.sides.iter().map(|side| (side.name.to_owned(), json!(side.medians[place]))).collect();
            for (idx, side) in self.sides[1..].iter().enumerate() {
                let name = if idx == 0 { "ratio".to_owned() } else { format!("ratio_{}", side.name) };
                entry.insert(name, json!(self.ratio(side.name, measure.key)));
            }
            measures.insert(measure.key.into(), entry.into());
        }
        measures.into()
    }

    /// Everything that the programs printed, null for one that was not there.
    pub(crate) fn rounds_json(&self) -> Value {
        let rounds = |side: &Side| if side.rounds.is_empty() { Value::Null } else { json!(side.rounds) };
        self.sides.iter().map(|side| (side.name.to_owned(), rounds(side))).collect::<Map<_, _>>().into()
    }
}

fn shown(figure: Option<f64>, digits: usize) -> String {
    figure.map_or_else(|| "-".into(), |figure| format!("{figure:.digits$}"))
}

/// One line of the table: razor, then a figure and a ratio for each peer.
pub(crate) fn push_row(table: &mut String, label: &str, cells: &[String]) {
    write!(table, "{label:<40}").expect("writing to a string cannot fail");
    for (place, cell) in cells.iter().enumerate() {
        let width = if place > 0 && place % 2 == 0 { 8 } else { 12 };
        write!(table, " {cell:>width$}").expect("writing to a string cannot fail");
    }
    table.push('\n');
}

/// A positive number of a program's output, or the `median` of an object.
///
/// # Errors
/// When it is missing or something else.
pub(crate) fn rate(round: &Value, key: &str) -> anyhow::Result<f64> {
    let value = round.get(key).with_context(|| format!("key `{key}` is missing"))?;
    match value.as_f64().or_else(|| value["median"].as_f64()) {
        Some(rate) if rate > 0.0 => Ok(rate),
        _ => {
            bail!("key `{key}`: expected a positive number or an object with one in `median`, found {value}")
        }
    }
}

/// Median; for an even count the mean of the middle two. `rates` is not empty.
fn median_of(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    let middle = rates.len() / 2;
    if rates.len() % 2 == 1 { rates[middle] } else { (rates[middle - 1] + rates[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: [Measure; 2] = [
        Measure { key: "steps", peer_key: "steps", label: "steps", digits: 0, peers: &["pytorch", "candle"] },
        Measure { key: "narrow", peer_key: "steps", label: "narrow", digits: 0, peers: &["pytorch"] },
    ];

    fn round(steps: f64) -> Value {
        json!({"steps": {"median": steps}, "narrow": 2.0 * steps})
    }

    #[test]
    fn the_ratio_is_taken_between_medians_over_rounds() {
        let ours = vec![round(900.0), round(1000.0), round(5.0)];
        let theirs = vec![round(400.0), round(450.0), round(600.0)];
        let comparison = Comparison::new(&MEASURES, ours, vec![("pytorch", theirs)]).unwrap();
        assert_eq!(comparison.ratio("pytorch", "steps"), Some(2.0)); // 900 / 450
        assert_eq!(comparison.ratio("pytorch", "narrow"), Some(4.0)); // against the peer's `steps`
    }

    #[test]
    fn what_was_not_measured_is_null_and_a_dash() {
        let peers = vec![("pytorch", Vec::new()), ("candle", vec![round(300.0)])];
        let comparison = Comparison::new(&MEASURES, vec![round(900.0)], peers).unwrap();
        let json = comparison.measures_json();
        assert_eq!(json["steps"]["ratio_candle"], 3.0);
        assert!(json["steps"]["ratio"].is_null() && json["narrow"]["ratio_candle"].is_null(), "{json}");
        assert!(comparison.rounds_json()["pytorch"].is_null());
        assert!(comparison.to_table().contains(" -"));
    }

    #[test]
    fn a_missing_key_is_named_with_the_program_that_left_it_out() {
        let peers = vec![("candle", vec![json!({"other": 1.0})])];
        let error = Comparison::new(&MEASURES, vec![round(1.0)], peers).err().expect("refused");
        let message = format!("{error:#}");
        assert!(message.contains("candle") && message.contains("steps"), "{message}");
    }
}
