//! Section: on-policy data or a negative term? Paper: arXiv 2509.04259, section 5.1 and figure 4.

use razor_report::{Block, Cell, Column, NumberFormat, Section, Table};

use crate::comparison::ComparedPolicy;
use crate::llm::study::method::StudyMethod;
use crate::llm::study::points::Point;
use crate::llm::study::task_view::{TaskView, mean_of};
use crate::llm::study::words::{list, percent, points};

/// The four methods: offline before on-policy, without a negative term before with one.
const QUADRANTS: [(StudyMethod, &str, &str); 4] = [
    (StudyMethod::Sft, "offline", "no"),
    (StudyMethod::Simpo, "offline", "yes"),
    (StudyMethod::Reinforce, "on-policy", "no"),
    (StudyMethod::Grpo, "on-policy", "yes"),
];

pub(crate) fn quadrant_section(views: &[TaskView<'_>]) -> Section {
    let mut blocks = Vec::new();
    for view in views {
        let methods = QUADRANTS.map(|(method, ..)| method);
        let level = view
            .highest_level(&methods)
            .or_else(|| view.highest_level(&[StudyMethod::Sft, StudyMethod::Grpo]))
            .or_else(|| view.levels().last().copied());
        blocks.push(Block::Text(sentence(view, level)));
        if let Some(level) = level {
            blocks.push(Block::Table(quadrant_table(view, level)));
        }
    }
    Section {
        title: "On-policy data, or the negative term?".to_owned(),
        intro: vec![
            "SFT and SimPO learn from completions that were written before; 1–0 REINFORCE and GRPO from the policy's own. \
             SimPO and GRPO also push wrong completions down. The paper's figure 4 puts the difference on the side of on-policy \
             data. Compared at the highest level that all four reach; failing that, that SFT and GRPO reach."
                .to_owned(),
        ],
        blocks,
    }
}

fn sentence(view: &TaskView<'_>, level: Option<f64>) -> String {
    let Some(level) = level else {
        return format!("{}: no level is reached by two methods.", view.name);
    };
    let drops = QUADRANTS.map(|(method, ..)| view.drop_at(method, level));
    let at = percent(level, 0);
    if let [Some(sft), Some(simpo), Some(reinforce), Some(grpo)] = drops {
        let on_policy = (sft + simpo) / 2.0 - (reinforce + grpo) / 2.0;
        let negative = (sft + reinforce) / 2.0 - (simpo + grpo) / 2.0;
        return format!(
            "{}: at {at} % on-policy data saves {} points of drop (mean of both rows), the negative term {}.",
            view.name,
            points(on_policy),
            points(negative)
        );
    }
    let missing: Vec<String> = QUADRANTS
        .iter()
        .zip(drops)
        .filter(|(_, drop)| drop.is_none())
        .map(|((method, ..), _)| {
            let title = method.title();
            if view.methods.contains(method) { title.to_owned() } else { format!("{title} (no run)") }
        })
        .collect();
    format!("{}: {} do not reach {at} %, so the square is not complete.", view.name, list(&missing))
}

fn quadrant_table(view: &TaskView<'_>, level: f64) -> Table {
    let columns = vec![
        Column::text("Data"),
        Column::text("Negative term"),
        Column::text("Method"),
        Column::number("Drop", "points", NumberFormat::Percent(1)),
        Column::number("Forward KL", "nats", NumberFormat::Fixed(2)),
        Column::number("Best new-task accuracy", "", NumberFormat::Percent(1)),
    ];
    let caption = format!(
        "{}: drop and forward KL at {} % new-task accuracy, mean over repetitions. A dash: not reached in every repetition.",
        view.name,
        percent(level, 0)
    );
    let mut table = Table::new(view.file("quadrants"), caption, columns);
    for (method, data, negative) in QUADRANTS {
        let best = view.frontiers.of(method).iter().filter_map(|seed| seed.frontier_points().last().copied());
        let best: Vec<&Point> = best.collect();
        table.push(vec![
            data.into(),
            negative.into(),
            method.title().into(),
            view.drop_at(method, level).into(),
            Cell::from(view.frontiers.mean(method, level, Point::forward_kl)),
            Cell::from(mean_of(&best, Point::new_task)),
        ]);
    }
    table
}
