//! Section: does KL on the new task predict forgetting?

use anyhow::Result;
use razor_metrics::leave_one_group_out;
use razor_report::{
    Axis, Block, Column, Figure, MatchAxis, Matched, NumberFormat, Residual, Section, Table, matched_table,
};

use crate::comparison::{
    ComparedPolicy, Law, Words, held_out_table, law_figure, n_runs, residual_figure, scatter,
};
use crate::llm::study::fitted::{self, quadratic_r2, rank_correlation};
use crate::llm::study::method::{StudyMethod, title_of};
use crate::llm::study::points::Point;
use crate::llm::study::task_view::TaskView;

/// The residuals of a task's methods; none where the runs do not make a curve.
pub(crate) fn residuals(view: &TaskView<'_>) -> Vec<Residual> {
    let law = Law::new(&view.points, &view.methods, view.resampling("residuals"));
    let rows = law.map_or_else(|_| vec![], |law| law.residuals);
    rows.into_iter().map(|row| Residual { task: view.name.to_owned(), ..row }).collect()
}

/// R² of the quadratic over all methods, and of each alone.
pub(crate) fn r2_by_method(view: &TaskView<'_>) -> Vec<(Option<StudyMethod>, fitted::Figure)> {
    let of = |method: Option<StudyMethod>| {
        quadratic_r2(&points_of(view, method), Point::forward_kl, view.resampling("r2"))
    };
    let methods = view.methods.iter().copied().map(Some);
    std::iter::once(None).chain(methods).map(|method| (method, of(method))).collect()
}

fn points_of<'a>(view: &TaskView<'a>, method: Option<StudyMethod>) -> Vec<&'a Point> {
    let is_wanted = |point: &&Point| method.is_none_or(|method| point.setting.method == method);
    view.points.iter().copied().filter(is_wanted).collect()
}

pub(crate) fn law_section(views: &[TaskView<'_>], matched: &[Matched]) -> Result<Section> {
    let mut blocks = Vec::new();
    for view in views {
        match Law::new(&view.points, &view.methods, view.resampling("residuals")) {
            Ok(law) => blocks.extend(law_blocks(view, law)?),
            Err(error) => {
                blocks.push(Block::Text(format!("{}: no curve can be fitted yet ({error}).", view.name)))
            }
        }
        blocks.extend(matched_tables(view, matched));
    }
    Ok(Section {
        title: "Does KL on the new task predict forgetting?".to_owned(),
        intro: vec![
            "Forward KL(π₀‖π), exact over the vocabulary and summed over completions of the base on held-out new-task prompts. One \
             quadratic per task: the same KL costs one task more than another. A pooled R² can be carried by the spread \
             between methods or by one method alone, so each method's own R² and its distance from the common curve stand \
             beside it; nothing on this page is gated on the pooled figure. Checkpoints of a run are correlated: all \
             intervals resample runs."
                .to_owned(),
        ],
        blocks,
    })
}

fn law_blocks(view: &TaskView<'_>, law: Law) -> Result<Vec<Block>> {
    let groups: Vec<StudyMethod> = view.points.iter().map(|point| point.setting.method).collect();
    let mut held_out =
        held_out_table(&leave_one_group_out(&scatter(&view.points, Point::forward_kl)?, &groups));
    held_out.name = view.file("leave_one_method_out");
    held_out.caption = format!("{}: {}", view.name, held_out.caption);
    held_out.folded = true;
    let words = Words::new(
        view.file("residuals"),
        format!("{}: do all methods lie on one curve?", view.name),
        "Measured less predicted forgetting per method under one quadratic for all: mean with 95 % interval over runs, and \
         every policy. A method whose interval misses zero forgets more (right) or less (left) than its KL says; a method of \
         fewer than three runs has no interval.",
    );
    Ok(vec![
        Block::Figure(scatter_figure(view)?),
        Block::Figure(residual_figure(law.strip, words.half())?),
        Block::Table(r2_table(view)),
        Block::Table(held_out),
    ])
}

fn scatter_figure(view: &TaskView<'_>) -> Result<Figure> {
    let words = Words::new(
        view.file("forgetting_vs_kl"),
        format!("{}: forgetting against forward KL", view.name),
        "One point per measured policy; quadratic fit of all methods with its 95 % band over runs.",
    );
    let axes = (
        Axis::linear("Forward KL(π₀‖π), nats per completion", ""),
        Axis::points("Forgetting (drop of the prior score)"),
    );
    let fitted = ("Quadratic fit", view.points.as_slice());
    let (points, methods) = (&view.points, &view.methods);
    Ok(law_figure(points, methods, fitted, view.resampling("band"), words.half(), axes)?)
}

fn r2_table(view: &TaskView<'_>) -> Table {
    let columns = vec![
        Column::text("Fitted to"),
        Column::number("Runs", "", NumberFormat::Fixed(0)),
        Column::number("Policies", "", NumberFormat::Fixed(0)),
        Column::number("R² quadratic", "", NumberFormat::Fixed(2)),
        Column::number("Spearman", "", NumberFormat::Fixed(2)),
        Column::number("Largest KL", "nats", NumberFormat::Fixed(1)),
        Column::number("Largest drop", "points", NumberFormat::Percent(1)),
    ];
    let caption = format!(
        "{}: how well forward KL predicts forgetting, all methods pooled and each alone; in-sample, 95 % intervals over runs.",
        view.name
    );
    let mut table = Table::new(view.file("r2"), caption, columns);
    for (method, r2) in r2_by_method(view) {
        let points = points_of(view, method);
        let largest = |of: fn(&Point) -> f64| points.iter().map(|point| of(point)).reduce(f64::max);
        table.push(vec![
            method.map_or("all methods", StudyMethod::title).into(),
            (n_runs(&points) as f64).into(),
            (points.len() as f64).into(),
            r2.into(),
            rank_correlation(&points, Point::forward_kl, view.resampling("r2")).into(),
            largest(Point::forward_kl).into(),
            largest(Point::forgetting).into(),
        ]);
    }
    table
}

/// The methods at equal KL and at equal learning rate.
fn matched_tables(view: &TaskView<'_>, matched: &[Matched]) -> Vec<Block> {
    let of_task = matched.iter().filter(|row| row.task == view.name);
    let titled: Vec<Matched> = of_task
        .map(|row| Matched { task: String::new(), method: title_of(&row.method).to_owned(), ..row.clone() })
        .collect();
    let tables = [(MatchAxis::Kl, "matched_kl"), (MatchAxis::LearningRate, "matched_learning_rate")];
    tables
        .into_iter()
        .map(|(axis, stem)| {
            let mut table = matched_table(&titled, axis);
            table.name = view.file(stem);
            table.caption = format!("{}: {}", view.name, table.caption);
            table.folded = true;
            Block::Table(table)
        })
        .collect()
}
