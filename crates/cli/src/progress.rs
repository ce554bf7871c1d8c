//! How far a study or a download is: a bar on a terminal, lines elsewhere, nothing with `--quiet`.

use std::cell::RefCell;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use razor_data::{FetchEvent, FetchListener};
use razor_experiments::StudyEvent;

use crate::terminal::duration_text;

/// Steps of the bar; a study counts in shares of its work, as runs differ in length.
const RESOLUTION: f64 = 10_000.0;
/// Lines are this share of the work apart.
const LINE_SHARE: f64 = 0.1;
/// What takes less needs no lines.
const SHORT: Duration = Duration::from_secs(2);

/// Shows where a study is. All output goes to standard error.
#[derive(Clone)]
pub(crate) enum Progress {
    /// The bar reads the pace whenever it is drawn, so that the time left counts down between events.
    Bar(ProgressBar, Pace),
    Lines(Pace),
    Silent,
}

impl Progress {
    pub(crate) fn new(is_quiet: bool) -> Self {
        if is_quiet {
            return Self::Silent;
        }
        let pace = Pace::new();
        if !std::io::stderr().is_terminal() {
            return Self::Lines(pace);
        }
        let bar = ProgressBar::new(RESOLUTION as u64);
        let shown = pace.clone();
        let style = ProgressStyle::with_template("{spinner} {wide_bar} {elapsed_precise}  {pace}")
            .expect("the template is sound")
            .with_key("pace", move |_: &ProgressState, text: &mut dyn Write| {
                let _ = text.write_str(&shown.text()); // a bar that cannot be drawn is no failure of the study
            });
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Bar(bar, pace)
    }

    /// Shows an event of a study.
    pub(crate) fn show(&self, event: &StudyEvent) {
        match (self, event) {
            (Self::Bar(bar, pace), event) => {
                pace.see(event);
                if let StudyEvent::Progress { share, .. } = event {
                    bar.set_position((share * RESOLUTION) as u64);
                }
            }
            (Self::Lines(pace), event) => {
                if pace.see(event) {
                    eprintln!("{}", pace.text());
                }
            }
            (Self::Silent, _) => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar, _) = self {
            bar.finish_and_clear();
        }
    }
}

/// What is known about a study's course, shared by all clones.
#[derive(Clone)]
pub(crate) struct Pace(Arc<Mutex<Course>>);

struct Course {
    start: Instant,
    stage: String,
    n_done: usize,
    n_runs: usize,
    share: f64,
    /// Share that an earlier, interrupted study had done: no measure of this one's speed.
    earlier_share: f64,
    is_training: bool,
    last_line_share: f64,
    /// When the work will be done, as foretold at the last event.
    end: Option<Instant>,
}

impl Pace {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Course {
            start: Instant::now(),
            stage: String::new(),
            n_done: 0,
            n_runs: 0,
            share: 0.0,
            earlier_share: 0.0,
            is_training: false,
            last_line_share: 0.0,
            end: None,
        })))
    }

    /// Takes note of an event; returns whether it is worth a line.
    fn see(&self, event: &StudyEvent) -> bool {
        let mut course = self.0.lock().expect("no holder panics");
        match event {
            StudyEvent::Stage(stage) => {
                course.stage.clone_from(stage);
                course.is_training = true;
                true
            }
            StudyEvent::Progress { n_done, n_runs, share } => {
                (course.n_done, course.n_runs, course.share) = (*n_done, *n_runs, *share);
                if !course.is_training {
                    (course.earlier_share, course.last_line_share) = (*share, *share);
                    return false;
                }
                course.end = course.foretell();
                let is_due = *share >= course.last_line_share + LINE_SHARE || n_done == n_runs;
                if is_due {
                    course.last_line_share = *share;
                }
                is_due
            }
            _ => false,
        }
    }

    fn text(&self) -> String {
        self.0.lock().expect("no holder panics").text()
    }
}

impl Course {
    fn foretell(&self) -> Option<Instant> {
        let here = self.share - self.earlier_share;
        let is_known = here > 0.0 && self.n_done < self.n_runs;
        is_known.then(|| Instant::now() + self.start.elapsed().mul_f64(((1.0 - self.share) / here).max(0.0)))
    }

    fn text(&self) -> String {
        if self.n_runs == 0 || self.share == 0.0 {
            return self.stage.clone();
        }
        let percent = (100.0 * self.share).floor();
        let mut text = format!("{}: {} of {} done, {percent} %", self.stage, self.n_done, self.n_runs);
        if let Some(end) = self.end {
            let left = end.saturating_duration_since(Instant::now());
            text.push_str(&format!(", about {} left", duration_text(left)));
        }
        text
    }
}

/// Tells about downloads: a bar on a terminal, one line a file elsewhere.
pub(crate) fn download_listener(is_quiet: bool) -> FetchListener {
    if is_quiet {
        return Arc::new(|_| {});
    }
    let bar = ProgressBar::hidden();
    let template = "{spinner} {bytes} of {total_bytes}  {binary_bytes_per_sec}  about {eta} left  {msg}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
    Arc::new(move |event| match event {
        FetchEvent::Started { id, from } => {
            eprintln!("downloading {id} from {from}");
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        FetchEvent::Progress { file, done, total } => {
            bar.set_length(*total);
            bar.set_position(*done);
            bar.set_message(file.clone());
        }
        FetchEvent::Stored { folder } => {
            bar.finish_and_clear();
            eprintln!("stored in {}", folder.display());
        }
        _ => {}
    })
}

/// Tells about files of a model, by name, bytes done and bytes in all: a bar on a terminal, one line a file elsewhere.
pub(crate) fn download_progress(is_quiet: bool) -> impl Fn(&str, u64, u64) {
    let bar = ProgressBar::hidden();
    let template = "{spinner} {bytes} of {total_bytes}  {binary_bytes_per_sec}  about {eta} left  {msg}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is sound"));
    let is_terminal = std::io::stderr().is_terminal();
    if is_terminal && !is_quiet {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let last_told = RefCell::new(String::new());
    move |file, done, total| {
        if is_quiet || *last_told.borrow() == file {
            return;
        }
        if done >= total && total > 0 {
            bar.finish_and_clear();
            eprintln!("downloaded {file}, {total} bytes");
            file.clone_into(&mut last_told.borrow_mut());
            return;
        }
        if bar.is_finished() {
            bar.reset(); // the file before this one ended it
        }
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(file.to_owned());
    }
}

/// How many of some things are done: a bar with the time left on a terminal, lines elsewhere, nothing with `--quiet`.
/// Dropped, it goes away.
pub(crate) struct CountProgress {
    bar: ProgressBar,
    /// Where there is no terminal: what is counted.
    lines: Option<String>,
    start: Instant,
}

impl CountProgress {
    pub(crate) fn new(what: &str, n: usize, is_quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_quiet || !is_terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(n as u64), target);
        let template =
            format!("{{spinner}} {{wide_bar}} {{pos}} of {{len}} {what}  {{elapsed_precise}}, {{eta}} left");
        bar.set_style(ProgressStyle::with_template(&template).expect("the template is sound"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: (!is_quiet && !is_terminal).then(|| what.to_owned()), start: Instant::now() }
    }

    pub(crate) fn add(&self, n: usize) {
        self.set(self.bar.position() as usize + n);
    }

    pub(crate) fn set(&self, n_done: usize) {
        let n = self.bar.length().unwrap_or(0);
        let tenth = |done: u64| 10 * done / n.max(1);
        let is_due = tenth(n_done as u64) > tenth(self.bar.position()) && self.start.elapsed() >= SHORT;
        self.bar.set_position(n_done as u64);
        let Some(what) = self.lines.as_ref().filter(|_| is_due) else { return };
        if n_done as u64 == n {
            eprintln!("{n} {what} done in {}", duration_text(self.start.elapsed()));
        } else {
            let left = self.start.elapsed().mul_f64(n as f64 / n_done as f64 - 1.0);
            eprintln!("{n_done} of {n} {what} done, about {} left", duration_text(left));
        }
    }
}

impl Drop for CountProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(n_done: usize) -> StudyEvent {
        StudyEvent::Progress { n_done, n_runs: 20, share: n_done as f64 / 20.0 }
    }

    #[test]
    fn a_line_is_due_every_tenth_of_the_work_and_at_the_end() {
        let pace = Pace::new();
        assert!(pace.see(&StudyEvent::Stage("runs".to_owned())));
        let due: Vec<usize> = (1..=20).filter(|&n_done| pace.see(&progress(n_done))).collect();
        assert_eq!(due.len(), 10, "{due:?}");
        assert_eq!(due.last(), Some(&20));
    }

    #[test]
    fn runs_of_an_earlier_study_do_not_count_as_speed() {
        let pace = Pace::new();
        for n_done in 1..=10 {
            assert!(!pace.see(&progress(n_done)));
        }
        pace.see(&StudyEvent::Stage("runs".to_owned()));
        assert_eq!(
            pace.text(),
            "runs: 10 of 20 done, 50 %",
            "no run of this study is done, so nothing is foretold"
        );
        pace.see(&progress(11));
        assert!(pace.text().ends_with(" left"), "{}", pace.text());
    }
}
