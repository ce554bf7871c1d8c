//! The gates: claims of the paper with thresholds that were fixed before the first run.
//!
//! A gate that cannot be judged (a level that a method does not reach) is `None`, never a pass. Claims about methods
//! are judged on the mean over repetitions and shown per repetition.

use razor_metrics::{MetricsError, QuadraticFit, Scatter, pearson, spearman};
use razor_report::{Gate, Predictor};

use crate::comparison::{ComparedPolicy, FORWARD_KL, Frontiers, scatter};
use crate::parity::matched::Quantity;
use crate::parity::method::Method;
use crate::parity::points::{Measured, Point};
use crate::parity::predictors::RIVALS;

/// New-task accuracy at which methods are compared by most gates.
const LEVEL: f64 = 0.93;
/// A lower one, which weaker methods reach too.
const LOW_LEVEL: f64 = 0.90;

/// Everything that gates look at.
pub(crate) struct Evidence<'a> {
    pub measured: &'a Measured,
    pub frontiers: &'a Frontiers<'a, Point>,
    pub predictors: &'a [Predictor],
}

/// All gates of the study, in order.
pub(crate) fn gates(evidence: &Evidence<'_>) -> Result<Vec<Gate>, MetricsError> {
    Ok(vec![
        evidence.base_sanity(),
        evidence.retention_order(),
        evidence.rl_above_sft2(),
        evidence.kl_order(),
        evidence.law(),
        evidence.rivals(),
        evidence.negative_term(),
        evidence.distillation(),
        evidence.sparsity_and_rank(),
        evidence.representation(),
        evidence.dynamics()?,
        evidence.kl_penalty(),
    ])
}

impl Evidence<'_> {
    fn base_sanity(&self) -> Gate {
        let sound = |new_task: f64, prior_task: f64| {
            (0.83..=0.90).contains(&new_task) && (0.70..=0.79).contains(&prior_task)
        };
        let bases = &self.measured.bases;
        let each: Vec<String> = bases
            .iter()
            .map(|base| format!("{}/{}", percent(base.new_task), percent(base.prior_task)))
            .collect();
        let (new_task, prior_task) = self.measured.base_accuracy();
        Gate {
            id: "T1".into(),
            claim: "the base policy scores 83 to 90 % on ParityMNIST and 70 to 79 % on FashionMNIST".into(),
            pass: Some(sound(new_task, prior_task)),
            figure: format!("parity/fashion {} %", each.join(", ")),
            per_seed: bases.iter().map(|base| sound(base.new_task, base.prior_task)).collect(),
        }
    }

    fn retention_order(&self) -> Gate {
        const MARGIN: f64 = 0.05;
        let methods = [Method::SftOracle, Method::Grpo, Method::Sft1];
        let holds = |kept: &[f64]| kept[0] - kept[1] >= MARGIN && kept[1] - kept[2] >= MARGIN;
        let claim =
            "fashion accuracy kept at 93 % parity: oracle SFT > GRPO > SFT-1, each by 5 points or more";
        self.compare("T2", claim, &[LEVEL], &methods, Quantity::PriorTask, holds)
    }

    fn rl_above_sft2(&self) -> Gate {
        let claim = "fashion accuracy kept: GRPO > SFT-2 at 90 % and at 93 % parity";
        let holds = |kept: &[f64]| kept[0] > kept[1] && kept[2] > kept[3];
        let methods = [Method::Grpo, Method::Sft2];
        let mut gate = self.compare("T2b", claim, &[LOW_LEVEL, LEVEL], &methods, Quantity::PriorTask, holds);
        let pairs = self.frontiers.of(Method::Grpo).iter().zip(self.frontiers.of(Method::Sft2));
        let crossings: Vec<String> = pairs
            .map(|(rl, sft)| rl.frontier().caught_up_by(&sft.frontier()))
            .map(|level| level.map_or("none".to_owned(), |level| format!("{} %", percent(level))))
            .collect();
        gate.figure += &format!("; SFT-2 catches up at {}", crossings.join(", "));
        gate
    }

    fn kl_order(&self) -> Gate {
        let methods = [Method::SftOracle, Method::Grpo, Method::Sft2, Method::Sft1];
        let claim = "forward KL at 93 % parity: oracle SFT < GRPO < SFT-2 < SFT-1";
        self.compare("T3", claim, &[LEVEL], &methods, Quantity::ForwardKl, |kl| kl.is_sorted_by(|a, b| a < b))
    }

    fn law(&self) -> Gate {
        const THRESHOLD: f64 = 0.90;
        let kl = self.predictor(FORWARD_KL);
        let per_seed = (0..self.measured.bases.len() as u64).map(|seed_idx| {
            let points: Vec<&Point> = self
                .measured
                .grid(&Method::PAPER)
                .into_iter()
                .filter(|point| point.seed_idx == seed_idx)
                .collect();
            let points = scatter(&points, Point::forward_kl).ok()?;
            QuadraticFit::new(&points, points.each_once()).ok().map(|fit| fit.r2())
        });
        let per_seed: Vec<Option<f64>> = per_seed.collect();
        let figure = match kl {
            Some(kl) => format!(
                "R² {:.3} [{:.3}, {:.3}]; per seed {}; the paper: 0.96 ± 0.01",
                kl.r2,
                kl.r2_low,
                kl.r2_high,
                list(&per_seed, |r2| format!("{r2:.3}"))
            ),
            None => "not measured".into(),
        };
        Gate {
            id: "T4".into(),
            claim:
                "quadratic R² of forgetting on forward KL, the paper's five methods pooled, is 0.90 or more"
                    .into(),
            pass: kl.filter(|kl| kl.r2.is_finite()).map(|kl| kl.r2 >= THRESHOLD),
            figure,
            per_seed: per_seed.into_iter().map(|r2| r2.is_some_and(|r2| r2 >= THRESHOLD)).collect(),
        }
    }

    fn rivals(&self) -> Gate {
        const GAP: f64 = 0.10;
        let is_rival = |row: &&Predictor| RIVALS.contains(&row.name.as_str());
        // Predictors come best first.
        let best = self.predictors.iter().filter(is_rival).find(|row| row.r2.is_finite());
        let gap = self.predictor(FORWARD_KL).zip(best).map(|(kl, best)| (kl.r2 - best.r2, best));
        Gate {
            id: "T5".into(),
            claim: "forward KL's R² is at least 0.10 above that of every weight and activation change".into(),
            pass: gap.map(|(gap, _)| gap >= GAP),
            figure: gap.map_or("not measured".into(), |(gap, best)| {
                format!("gap {gap:.3}; best rival {} with R² {:.3}", best.name, best.r2)
            }),
            per_seed: vec![],
        }
    }

    fn negative_term(&self) -> Gate {
        let methods = [Method::Reinforce, Method::Grpo, Method::Simpo, Method::Sft2];
        let claim = "at 90 % parity on-policy beats offline with and without a negative term: \
                     1–0 REINFORCE > SFT-2 and GRPO > SimPO in fashion accuracy kept";
        let holds = |kept: &[f64]| kept[0] > kept[3] && kept[1] > kept[2];
        self.compare("T7", claim, &[LOW_LEVEL], &methods, Quantity::PriorTask, holds)
    }

    fn distillation(&self) -> Gate {
        const WITHIN: f64 = 0.02;
        let students = self.frontiers.of(Method::SftDistilled);
        let pairs: Vec<(&Point, Option<&Point>)> = self
            .measured
            .teachers
            .iter()
            .zip(students)
            .map(|(teacher, student)| (teacher, nearest(teacher, &student.frontier_points())))
            .collect();
        let holds = |(teacher, student): &(&Point, Option<&Point>)| {
            student.is_some_and(|student| {
                (student.eval.new_task - teacher.eval.new_task).abs() <= WITHIN
                    && (student.eval.prior_task - teacher.eval.prior_task).abs() <= WITHIN
            })
        };
        let shown = pairs.iter().map(|(teacher, student)| {
            let scores = |p: &Point| format!("{}/{}", percent(p.eval.new_task), percent(p.eval.prior_task));
            format!("teacher {} student {}", scores(teacher), student.map_or("none".into(), scores))
        });
        Gate {
            id: "T8".into(),
            claim: "SFT on an RL policy's samples comes within 2 points of that policy on both tasks".into(),
            pass: (!pairs.is_empty()).then(|| pairs.iter().all(holds)),
            figure: if pairs.is_empty() {
                "not measured".into()
            } else {
                shown.collect::<Vec<_>>().join("; ")
            },
            per_seed: pairs.iter().map(holds).collect(),
        }
    }

    fn sparsity_and_rank(&self) -> Gate {
        let ends: Vec<&Point> =
            self.measured.grid(&self.measured.methods()).into_iter().filter(|point| point.is_last).collect();
        let unchanged = ends.iter().map(|point| point.eval.weight.unchanged_f32).fold(0.0, f64::max);
        let full =
            |point: &&&Point| point.eval.weight.ranks.as_deref() == Some(&crate::parity::task::FULL_RANKS);
        let n_full = ends.iter().filter(full).count();
        let bf16 = |method: Method| {
            let shares: Vec<f64> = ends
                .iter()
                .filter(|point| point.setting.method == method)
                .map(|point| point.eval.weight.unchanged_bf16)
                .collect();
            shares.into_iter().fold(f64::NAN, f64::max)
        };
        Gate {
            id: "T9".into(),
            claim: "in f32 less than 1 % of the weights stay unchanged and every update has full rank; \
                    rounded to bf16 many stay"
                .into(),
            pass: (!ends.is_empty()).then_some(unchanged < 0.01 && n_full == ends.len()),
            figure: format!(
                "most unchanged {} %; {n_full} of {} runs of full rank; unchanged in bf16 up to {} % (GRPO), {} % (SFT-1)",
                percent(unchanged),
                ends.len(),
                percent(bf16(Method::Grpo)),
                percent(bf16(Method::Sft1)),
            ),
            per_seed: vec![],
        }
    }

    fn representation(&self) -> Gate {
        let methods = [Method::Grpo, Method::Sft2, Method::Sft1];
        let claim = "CKNNA with the base policy at 93 % parity: GRPO > SFT-2 and GRPO > SFT-1";
        let holds = |cknna: &[f64]| cknna[0] > cknna[1] && cknna[0] > cknna[2];
        self.compare("T10", claim, &[LEVEL], &methods, Quantity::Cknna, holds)
    }

    fn dynamics(&self) -> Result<Gate, MetricsError> {
        const THRESHOLD: f64 = 0.3;
        let (mut shown, mut ranks) = (vec![], vec![]);
        for method in Method::ALL {
            let runs = self.measured.watched.iter().filter(|run| run.method == method);
            let steps: Vec<_> = runs.flat_map(|run| &run.records).collect();
            if steps.is_empty() {
                continue;
            }
            let kl: Vec<f64> = steps.iter().map(|step| step.step_kl).collect();
            let against = |cosine: Vec<f64>| -> Result<(Option<f64>, Option<f64>), MetricsError> {
                let points = Scatter::new(&kl, &cosine)?;
                let once = points.each_once();
                Ok((spearman(&points, once).ok(), pearson(&points, once).ok()))
            };
            let (prior, prior_linear) = against(steps.iter().map(|step| step.prior_cosine).collect())?;
            let (new, _) = against(steps.iter().map(|step| step.new_cosine).collect())?;
            let show = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
            shown.push(format!(
                "{} {} (Pearson {}; new task {})",
                method.title(),
                show(prior),
                show(prior_linear),
                show(new)
            ));
            ranks.push(prior.unwrap_or(0.0));
        }
        Ok(Gate {
            id: "T11".into(),
            claim: "Spearman of a step's KL with its cosine to the old-task gradient is above 0.3 for every method watched"
                .into(),
            pass: (!ranks.is_empty()).then(|| ranks.iter().all(|&rank| rank > THRESHOLD)),
            figure: if shown.is_empty() { "not measured".into() } else { shown.join("; ") },
            per_seed: vec![],
        })
    }

    fn kl_penalty(&self) -> Gate {
        let methods = [Method::GrpoKl, Method::Grpo, Method::Sft2Kl, Method::Sft2];
        let claim =
            "fashion accuracy kept at 93 % parity: a KL term helps GRPO, and helps it more than SFT-2";
        let holds = |kept: &[f64]| kept[0] > kept[1] && kept[0] - kept[1] > kept[2] - kept[3];
        self.compare("T13", claim, &[LEVEL], &methods, Quantity::PriorTask, holds)
    }

    /// Judges the values of `methods` at each level (level by level), on the mean and for each repetition.
    fn compare(
        &self,
        id: &str,
        claim: &str,
        levels: &[f64],
        methods: &[Method],
        quantity: Quantity,
        holds: impl Fn(&[f64]) -> bool,
    ) -> Gate {
        let all = || levels.iter().flat_map(|&level| methods.iter().map(move |&method| (level, method)));
        let means: Vec<Option<f64>> = all()
            .map(|(level, method)| self.frontiers.mean(method, level, |point| quantity.of(point)))
            .collect();
        let judged: Option<Vec<f64>> = means.iter().copied().collect();
        let per_seed = (0..self.measured.bases.len()).map(|seed_idx| {
            let values: Option<Vec<f64>> = all()
                .map(|(level, method)| {
                    *self.frontiers.per_seed(method, level, |point| quantity.of(point)).get(seed_idx)?
                })
                .collect();
            values.is_some_and(|values| holds(&values))
        });
        let show = |value: f64| match quantity {
            Quantity::PriorTask => format!("{} %", percent(value)),
            Quantity::ForwardKl => format!("{value:.2} nats"),
            Quantity::Cknna => format!("{value:.3}"),
        };
        let figures = all().zip(&means).map(|((level, method), mean)| {
            let at = if levels.len() > 1 { format!(" at {}", percent(level)) } else { String::new() };
            format!("{}{at} {}", method.title(), mean.map_or("not reached".to_owned(), show))
        });
        Gate {
            id: id.into(),
            claim: claim.into(),
            pass: judged.map(|values| holds(&values)),
            figure: figures.collect::<Vec<_>>().join(", "),
            per_seed: per_seed.collect(),
        }
    }

    fn predictor(&self, name: &str) -> Option<&Predictor> {
        self.predictors.iter().find(|row| row.name == name)
    }
}

/// The frontier point whose new-task accuracy is nearest to the teacher's.
fn nearest<'a>(teacher: &Point, students: &[&'a Point]) -> Option<&'a Point> {
    let distance = |student: &Point| (student.eval.new_task - teacher.eval.new_task).abs();
    students.iter().copied().min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// A fraction in percent, without the sign.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

fn list(values: &[Option<f64>], show: impl Fn(f64) -> String) -> String {
    let shown: Vec<String> = values.iter().map(|value| value.map_or("–".to_owned(), &show)).collect();
    shown.join(", ")
}
