//! The tables of the report that only this study has.

use razor_core::Seed;
use razor_metrics::{MetricsError, QuadraticFit, RunBootstrap, spearman};
use razor_report::{Cell, Column, NumberFormat, Table};
use razor_trainers::Schedule;

use crate::comparison::{ComparedPolicy, scatter};
use crate::parity::plan::Arm;
use crate::parity::points::{Measured, Point};

/// Forward KL and log Σ learning rate as predictors, by AdamW epsilon, on the same settings; `None` without that arm.
pub(crate) fn epsilon_table(measured: &Measured, seed: Seed) -> Result<Option<Table>, MetricsError> {
    let study = &measured.config.study;
    let arm = &study.epsilon_arm;
    let n_epochs = study.grid.n_epochs.iter().copied().min().unwrap_or(1);
    let is_same_setting = |point: &&Point| {
        let setting = &point.setting;
        setting.arm != Arm::Dynamics
            && setting.schedule == Schedule::Constant
            && setting.n_epochs == n_epochs
            && arm.methods.contains(&setting.method)
            && arm.learning_rates.contains(&setting.learning_rate)
    };
    let columns = vec![
        Column::number("AdamW epsilon", "", NumberFormat::Significant(1)),
        Column::number("Checkpoints", "", NumberFormat::Fixed(0)),
        Column::number("R² forward KL", "", NumberFormat::Fixed(3)),
        Column::number("R² log Σ learning rate", "", NumberFormat::Fixed(3)),
        Column::number("Spearman forward KL", "", NumberFormat::Fixed(3)),
        Column::number("Spearman log Σ learning rate", "", NumberFormat::Fixed(3)),
    ];
    let caption = "The law under another AdamW epsilon: the same methods and learning rates, constant schedule; 95 % \
                   intervals over runs.";
    let mut table = Table::new("epsilon", caption, columns);
    for epsilon in std::iter::once(study.finetune.optimizer.epsilon).chain(arm.epsilons.iter().copied()) {
        let points: Vec<&Point> = measured.points.iter().filter(is_same_setting).collect();
        let points: Vec<&Point> =
            points.into_iter().filter(|point| point.setting.epsilon == epsilon).collect();
        let runs: Vec<usize> = points.iter().map(|point| point.run_idx).collect();
        let Ok(bootstrap) = RunBootstrap::new(&runs, study.measure.n_resamples, seed) else {
            return Ok(None);
        };
        let kl = scatter(&points, Point::forward_kl)?;
        let rate = scatter(&points, |point| point.eval.learning_rate_sum.ln())?;
        let statistics = bootstrap.intervals(|weights| {
            vec![
                QuadraticFit::new(&kl, weights).ok().map(|fit| fit.r2()),
                QuadraticFit::new(&rate, weights).ok().map(|fit| fit.r2()),
                spearman(&kl, weights).ok(),
                spearman(&rate, weights).ok(),
            ]
        });
        let mut row = vec![Cell::Number(epsilon), Cell::Number(points.len() as f64)];
        row.extend(statistics.into_iter().map(|statistic| match statistic {
            Some(interval) => {
                Cell::interval(Some(interval.estimate), Some(interval.low), Some(interval.high))
            }
            None => Cell::Missing,
        }));
        table.push(row);
    }
    Ok(Some(table))
}

/// How many weights each method leaves alone, at the ends of its runs.
pub(crate) fn weights_table(measured: &Measured) -> Table {
    let columns = vec![
        Column::text("Method"),
        Column::number("Peak learning rate", "", NumberFormat::Significant(2)),
        Column::number("Unchanged in f32", "", NumberFormat::Percent(2)),
        Column::number("Unchanged in bf16", "", NumberFormat::Percent(1)),
        Column::text("Rank of each update"),
    ];
    let caption = "Weights that end a run with the value they began with: as trained in f32, and after rounding both to \
                   bf16. First repetition, constant schedule. Full ranks are 512, 256 and 10.";
    let mut table = Table::new("weights", caption, columns);
    table.folded = true;
    for method in measured.methods() {
        let ends = measured.grid(&[method]).into_iter().filter(|point| {
            point.is_last
                && point.seed_idx == 0
                && point.setting.schedule == Schedule::Constant
                && point.setting.n_epochs == 1
        });
        for point in ends {
            let weight = &point.eval.weight;
            let ranks = weight.ranks.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            table.push(vec![
                method.title().into(),
                point.setting.learning_rate.into(),
                weight.unchanged_f32.into(),
                weight.unchanged_bf16.into(),
                ranks.into(),
            ]);
        }
    }
    table
}

/// Every measured checkpoint of every arm, for `points.csv`.
pub(crate) fn points_table(measured: &Measured) -> Table {
    let number = |title: &str| Column::number(title, "", NumberFormat::Significant(6));
    let mut columns: Vec<Column> = ["method", "arm", "schedule"].map(Column::text).into();
    let numbers = [
        "seed",
        "learning_rate",
        "epochs",
        "epsilon",
        "step",
        "learning_rate_sum",
        "new_task",
        "prior_task",
        "forgetting",
        "kl_reference_to_policy",
        "kl_policy_to_reference",
        "total_variation",
        "l2",
        "old_kl_reference_to_policy",
        "old_kl_policy_to_reference",
        "old_total_variation",
        "old_l2",
        "activation_l1",
        "activation_l2",
        "old_activation_l1",
        "old_activation_l2",
        "weight_l1",
        "weight_fisher_l2",
        "weight_spectral_norm",
        "unchanged_f32",
        "unchanged_bf16",
        "cka",
        "cknna",
    ];
    columns.extend(numbers.map(number));
    let mut table = Table::new("points", "Every measured checkpoint.", columns);
    for point in &measured.points {
        let (setting, eval) = (&point.setting, &point.eval);
        let (new, old) = (&eval.shift_new, &eval.shift_prior);
        let mut row: Vec<Cell> =
            vec![setting.method.name().into(), format!("{:?}", setting.arm).to_lowercase().into()];
        row.push(format!("{:?}", setting.schedule).to_lowercase().into());
        row.extend(
            [
                point.seed_idx as f64,
                setting.learning_rate,
                setting.n_epochs as f64,
                setting.epsilon,
                eval.step as f64,
                eval.learning_rate_sum,
                eval.new_task,
                eval.prior_task,
                point.forgetting,
                new.kl_reference_to_policy,
                new.kl_policy_to_reference,
                new.total_variation,
                new.l2,
                old.kl_reference_to_policy,
                old.kl_policy_to_reference,
                old.total_variation,
                old.l2,
                eval.activation_new.l1,
                eval.activation_new.l2,
                eval.activation_prior.l1,
                eval.activation_prior.l2,
                eval.weight.l1,
                eval.weight.fisher_l2,
                eval.weight.spectral_norm,
                eval.weight.unchanged_f32,
                eval.weight.unchanged_bf16,
            ]
            .map(Cell::Number),
        );
        row.extend([Cell::from(eval.cka), Cell::from(eval.cknna)]);
        table.push(row);
    }
    table
}
