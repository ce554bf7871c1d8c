//! Pairs of gold answer and boxed answer, each with what a careful teacher would say.

use razor_envs::{MathGold, Outcome};

const EQUAL: &[(&str, &str)] = &[
    // integers, signs, separators
    ("5", "5"),
    ("5", "+5"),
    ("-3", "−3"),
    ("-3", "- 3"),
    ("1200", "1,200"),
    ("1,200", "1200"),
    ("1,200", "1{,}200"),
    ("10,\\!080", "10080"),
    ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
    ("0", "-0"),
    ("7", "007"),
    ("42", "42."),
    ("42", "$42$"),
    ("2^{10}", "1024"),
    ("1024", "2^10"),
    ("10^{100}", "10^{50}\\cdot 10^{50}"),
    ("3!", "6"),
    ("\\binom{5}{2}", "10"),
    ("-1", "(-1)^{2005}"),
    ("\\frac{1}{2004!}", "\\dfrac{1}{2004!}"),
    ("2^{2005}", "2\\cdot 2^{2004}"),
    // fractions and decimals
    ("\\frac{1}{2}", "0.5"),
    ("\\frac12", "\\dfrac{1}{2}"),
    ("\\frac{1}{2}", "1/2"),
    ("\\frac{1}{2}", "\\frac{2}{4}"),
    ("\\frac1{72}", "\\tfrac{1}{72}"),
    ("\\frac{270}7", "270/7"),
    ("-\\frac12", "\\frac{-1}{2}"),
    ("-\\frac12", "\\frac{1}{-2}"),
    (".0000672", "6.72 \\times 10^{-5}"),
    ("0.5", ".5"),
    ("2.50", "2.5"),
    ("65.0", "65"),
    ("2\\frac{1}{2}", "\\frac{5}{2}"),
    ("6\\frac15", "31/5"),
    ("137 \\frac{1}{2}", "137.5"),
    ("1 1/2", "1.5"),
    ("\\frac{3}{4}", "3 \\div 4"),
    ("½", "0.5"),
    ("\\frac 59", "\\frac{5}{9}"),
    ("\\cfrac{25}{16}", "25/16"),
    ("3:1", "3 : 1"),
    ("1:2", "2:4"),
    // scientific notation
    ("3 \\times 10^{5}", "300000"),
    ("3.3e12", "3.3 \\times 10^{12}"),
    ("3.61e-10", "3.61 \\cdot 10^{-10}"),
    ("10^{-3}", "0.001"),
    // percent, money, units, degrees
    ("28\\%", "28%"),
    ("28\\%", "28"),
    ("28\\%", "0.28"),
    ("0.28", "28\\%"),
    ("50", "50\\%"),
    ("\\$18.90", "18.90"),
    ("\\$32,\\!348", "32348"),
    ("20", "\\$20"),
    ("8\\text{ meals}", "8"),
    ("8", "8 \\text{ meals}"),
    ("440\\text{ cm}^2", "440"),
    ("440\\text{ cm}^2", "440 \\text{ square centimeters}"),
    ("5\\text{ inches}", "5 in"),
    ("18\\text{ hours}", "18 hours"),
    ("90^\\circ", "90"),
    ("90^\\circ", "90°"),
    ("90^{\\circ}", "90 \\text{ degrees}"),
    ("3.25\\text{ dollars}", "\\$3.25"),
    ("5\\text{ m}", "5 m"),
    ("25 \\, \\text{km}", "25\\text{ kilometers}"),
    ("90\\text{ square\nunits}", "90"),
    ("45\\text{ mph}", "45"),
    // roots, powers, constants
    ("\\sqrt{8}", "2\\sqrt{2}"),
    ("2\\sqrt3", "\\sqrt{12}"),
    ("\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}"),
    ("\\sqrt[3]{8}", "2"),
    ("\\sqrt[3]{-8}", "-2"),
    ("2^{-2 / 3}", "\\frac{1}{\\sqrt[3]{4}}"),
    ("\\frac{\\sqrt{2}+\\sqrt{6}}{4}", "\\cos 15^\\circ"),
    ("\\frac{1}{2}", "\\sin 30^\\circ"),
    ("\\frac12", "\\sin\\frac{\\pi}{6}"),
    ("4\\pi", "4 π"),
    ("\\frac{7}{6}\\pi", "\\frac{7\\pi}{6}"),
    ("\\sqrt 2", "√2"),
    ("10\\sqrt 2", "10sqrt(2)"),
    ("3", "\\log_2 8"),
    ("2\\ln 3", "\\ln 9"),
    ("\\frac{\\log 2}{\\log 2-\\log 3}", "\\frac{\\ln 2}{\\ln(2/3)}"),
    ("e^{2}", "\\exp(2)"),
    ("\\sqrt{3+2\\sqrt2}", "1+\\sqrt2"),
    ("(2+\\sqrt3)^2", "7+4\\sqrt3"),
    // complex numbers
    ("6 - 5i", "-5i + 6"),
    ("2i", "i\\cdot 2"),
    ("i^2", "-1"),
    ("\\frac{1}{5} + \\frac{3}{5}i", "\\frac{1+3i}{5}"),
    ("\\sqrt{-4}", "2i"),
    // expressions
    ("x^2+2x+1", "(x+1)^2"),
    ("p - q", "-q+p"),
    ("4(3-x)(3+x)", "36-4x^2"),
    ("(a+5)(b+2)", "ab+2a+5b+10"),
    ("\\frac{c}{a}", "c/a"),
    ("2x", "x+x"),
    ("-\\frac1{2x}", "\\frac{-1}{2x}"),
    ("\\cot x", "\\frac{\\cos x}{\\sin x}"),
    ("1", "\\sin^2 x + \\cos^2 x"),
    ("\\sin 3x", "\\sin(3x)"),
    ("\\sqrt{ab}", "\\sqrt{a}\\sqrt{b}"),
    ("\\ln(ab)", "\\ln a + \\ln b"),
    ("x_1+x_2", "x_{2}+x_{1}"),
    ("3 - 2f(x)", "-2f(x)+3"),
    ("n(n-1)", "n^2-n"),
    ("\\frac{d!}{2k(d-k)!}", "\\frac{d!}{2k\\,(d-k)!}"),
    ("e^{-t}", "\\frac{1}{e^t}"),
    ("I(0)e^{-\\frac{t}{RC}}", "I(0)\\exp(-t/(RC))"),
    ("\\lfloor n/2 \\rfloor", "\\lfloor \\frac{n}{2} \\rfloor"),
    ("(n+1)!", "(n+1) \\cdot n!"),
    ("\\binom{2n}{n}", "\\frac{(2n)!}{n!\\,n!}"),
    ("|x-1|", "|1-x|"),
    ("\\frac{1}{x}-\\frac{1}{y}", "\\frac{y-x}{xy}"),
    // equations and names
    ("x=5", "5"),
    ("5", "x = 5"),
    ("5", "5 = x"),
    ("x=5", "2x=10"),
    ("y = 2x + 3", "2x + 3 = y"),
    ("y = 2x + 3", "y - 2x = 3"),
    ("y = 2x + 3", "2x+3"),
    ("5x - 7y + 11z + 4 = 0", "-5x+7y-11z-4=0"),
    ("4x-5y=-50", "5y = 4x + 50"),
    ("f(n)=n", "n"),
    ("g(x)=x^2-2x+2", "(x-1)^2+1"),
    ("5", "2+3 = 5"),
    ("10\\pi", "10\\pi \\approx 31.4"),
    ("MR=SRMC", "SRMC = MR"),
    ("2^{2005}\\pi", "2^{2005}\\pi"),
    ("\\frac{1}{2}", "x = \\frac{1}{2} = 0.5"),
    ("\\alpha", "\\alpha"),
    ("b=4", "4"),
    // inequalities and intervals
    ("x > 5", "5 < x"),
    ("x>5", "(5,\\infty)"),
    ("(2,\\infty)", "x > 2"),
    ("x \\in [-2,7]", "[-2,7]"),
    ("[-2,7]", "-2 \\le x \\le 7"),
    ("(0,1]", "\\left(0, 1\\right]"),
    ("(-\\infty, 0]", "x \\leq 0"),
    ("k \\geqslant 2", "2 \\le k"),
    ("2x < 6", "x < 3"),
    ("-x<3", "x>-3"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"),
    ("\\{-1\\} \\cup [0,7)", "[0,7) \\cup \\{-1\\}"),
    ("\\left[ \\frac{\\pi^2}{8}, \\frac{5 \\pi^2}{4} \\right]", "[\\pi^2/8, 5\\pi^2/4]"),
    ("(-\\infty,\\infty)", "\\mathbb{R}"),
    ("0 < x < 1", "1 > x > 0"),
    // tuples, lists, sets
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, \\pi/2)"),
    ("(2,-1,2)", "(2, -1, 2)"),
    ("(1,200)", "(1, 200)"),
    ("(7,21,35)", "7,21,35"),
    ("1,-2", "-2, 1"),
    ("1,-2", "\\{1,-2\\}"),
    ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
    ("3 \\pm 2 \\sqrt{2}", "3+2\\sqrt2, 3-2\\sqrt2"),
    ("1 \\pm \\sqrt{19}", "1 \\mp \\sqrt{19}"),
    ("100, 200, 300", "100,200,300"),
    ("3, 5, 7", "3, 5 \\text{ and } 7"),
    ("7, -2, \\text{ and } -5", "-5,-2,7"),
    ("x = 2 \\text{ or } x = 3", "2, 3"),
    ("$(1,1), (3,2)$", "(3,2),(1,1)"),
    ("$8$,$4$", "4, 8"),
    ("\\emptyset", "\\{\\}"),
    ("12\\text{ and }13", "12, 13"),
    ("\\{1, 2\\}", "\\{2, 1, 1\\}"),
    ("\\{5\\}", "5"),
    ("(x,y) = (1,2)", "(1,2)"),
    ("a=1, b=2", "a = 1,\\ b = 2"),
    // matrices
    ("\\begin{pmatrix} -2 \\\\ 3 \\end{pmatrix}", "\\begin{bmatrix} -2 \\\\ 3 \\end{bmatrix}"),
    ("\\begin{pmatrix} 6/5 \\\\ -17/5 \\end{pmatrix}", "(1.2, -3.4)"),
    (
        "\\begin{pmatrix} 1 & 0 \\\\ 0 & -1 \\end{pmatrix}",
        "\\begin{pmatrix} 1 & 0 \\\\ 0 & -1 \\\\ \\end{pmatrix}",
    ),
    // bases
    ("52_8", "52_{8}"),
    ("52_8", "52"),
    ("4210_{5}", "4210_5"),
    ("152A_{11}", "152A_{11}"),
    ("0.0011_{2}", "0.0011_2"),
    ("1112112_3", "1112112"),
    // words
    ("\\text{Evelyn}", "Evelyn"),
    ("\\text{(C)}", "C"),
    ("\\text{(C)}", "(C)"),
    ("C", "\\text{(C)}"),
    ("\\text{Monday}", "monday"),
    ("(\\text{E})", "E"),
    ("\\text{B, E, G}", "B,E,G"),
    ("\\text{even}", "\\textbf{even}"),
    ("\\mbox{Saturday}", "\\text{Saturday}"),
    ("\\text{4:30 p.m.}", "\\text{4:30 p.m.}"),
];

const DIFFERENT: &[(&str, &str)] = &[
    ("5", "6"),
    ("5", "-5"),
    ("1200", "1,2,0,0"),
    ("1,200", "1.2"),
    ("12", "1, 2"),
    ("2^{2005}", "2^{2005}+1"),
    ("10^{20}", "10^{20}+1"),
    ("\\frac{1}{3}", "0.333"),
    ("0.333", "\\frac{1}{3}"),
    ("\\frac{1}{3}", "0.33333333333"),
    ("3.14", "\\pi"),
    ("\\pi", "3.14159265"),
    ("\\sqrt{2}", "1.414"),
    ("2.5", "2.49"),
    ("3.142", "3.14"),
    ("\\frac{1}{2}", "\\frac{1}{3}"),
    ("2\\frac{1}{2}", "1"),
    ("28\\%", "0.28\\%"),
    ("28\\%", "2.8"),
    ("3 \\times 10^{5}", "3 \\times 10^{4}"),
    ("90^\\circ", "\\frac{\\pi}{2}"),
    ("5\\text{ cm}", "5\\text{ m}"),
    ("5\\text{ cm}", "5\\text{ cm}^2"),
    ("3.25\\text{ dollars}", "3.25\\text{ cents}"),
    ("18\\text{ hours}", "18\\text{ minutes}"),
    ("\\sqrt{8}", "2\\sqrt{3}"),
    ("\\sqrt{x^2}", "x"),
    ("|x|", "x"),
    ("6-5i", "6+5i"),
    ("2i", "2"),
    ("2i", "-2i"),
    ("x^2+2x+1", "(x-1)^2"),
    ("x+1", "x+2"),
    ("p-q", "q-p"),
    ("\\cot x", "\\tan x"),
    ("\\sin 3x", "3\\sin x"),
    ("x_1", "x_2"),
    ("a", "b"),
    ("I(0)e^{-t}", "0"),
    ("f(x)", "x"),
    ("x=5", "x=-5"),
    ("x=5", "y=5"),
    ("x=5", "x=6"),
    ("5", "x+5"),
    ("5", "x = x"),
    ("y=2x+3", "y=2x-3"),
    ("y=2x+3", "x=2y+3"),
    ("5", "2+2=5"),
    ("1+1=2", "3=3"),
    ("x>5", "x<5"),
    ("x>5", "x\\ge 5"),
    ("x<5", "-x<-5"),
    ("(0,1]", "[0,1]"),
    ("(0,1]", "(0,1)"),
    ("[-2,7]", "x > -2"),
    ("(2,\\infty)", "(-\\infty,2)"),
    ("(2,\\infty)", "2"),
    ("(-\\infty, 2) \\cup (3, \\infty)", "(-\\infty,2)"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "2,1"),
    ("1,-2", "1"),
    ("1,-2", "1,2"),
    ("1,-2", "1,-2,3"),
    ("-2,-2", "-2"),
    ("3\\pm\\sqrt2", "3+\\sqrt2"),
    ("(2,-1,2)", "(2,-1)"),
    ("\\{1,2\\}", "\\{1,3\\}"),
    ("5", "5, 6"),
    ("5", "5 \\text{ or } 6"),
    ("(1,200)", "1200"),
    ("\\emptyset", "0"),
    ("\\begin{pmatrix} 1 & 2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
    ("52_8", "52_9"),
    ("52_8", "53_8"),
    ("52_8", "42"),
    ("\\text{Evelyn}", "Evelyne"),
    ("\\text{(C)}", "D"),
    ("\\text{even}", "\\text{odd}"),
    ("\\text{Monday}", "5"),
    ("5", "\\text{Monday}"),
    ("\\infty", "-\\infty"),
    ("\\infty", "10^{100}"),
    ("n!", "n"),
    ("x^2", "x^4"),
    ("e", "2.718281828"),
    ("\\frac{1}{2004!}", "0"),
    ("2^{2005}\\pi", "2^{2006}\\pi"),
    ("\\log_2 8", "2"),
    ("\\frac{23}{1}", "\\frac{2}{31}"),
    ("x^{12}", "x^1 2"),
    ("\\lfloor\\frac{2n-1}{5}\\rfloor", "\\lfloor\\frac{2n-1}{6}\\rfloor"),
    ("x+3", "|x+3|"),
    ("1.325 \\times 10^{-27}", "-1.325 \\times 10^{-27}"),
    ("4.6 \\times 10^{-24}", "4.6 \\times 10^{-25}"),
];

const UNREADABLE: &[(&str, &str)] = &[
    ("5", ""),
    ("5", "\\frac{1}"),
    ("5", "5 +"),
    ("5", "\\foo{5}"),
    ("5", "((5)"),
    ("5", "\\begin{pmatrix} 1 & 2 \\\\ 3 \\end{pmatrix}"),
    ("5", "2^{2^{2^{2^{2^{2}}}}}"),
    ("5", "99999!"),
    ("5", "9^{9^9}"),
    ("5", "5 \u{1F600}"),
    ("5", "\\sum_{k=1}^{5} 1"),
    ("x \\in [-2,7]", "-x \\in [-2,7]"),
    ("(1,2)", "(3,4) = (1,2)"),
];

fn outcomes(pairs: &[(&str, &str)], wanted: Outcome) -> Vec<String> {
    let mut surprises = Vec::new();
    for (gold, answer) in pairs {
        let judged = match MathGold::parse(&[gold]) {
            Ok(parsed) => parsed.judge(&format!("Therefore the answer is $\\boxed{{{answer}}}$.")),
            Err(error) => {
                surprises.push(format!("{gold}: {error}"));
                continue;
            }
        };
        if judged.outcome != wanted {
            surprises.push(format!("{gold} | {answer}: {:?}, {}", judged.outcome, judged.reason));
        }
    }
    surprises
}

#[test]
fn equal_answers_are_correct() {
    let surprises = outcomes(EQUAL, Outcome::Correct);
    assert!(surprises.is_empty(), "{} of {}:\n{}", surprises.len(), EQUAL.len(), surprises.join("\n"));
}

#[test]
fn different_answers_are_wrong() {
    let surprises = outcomes(DIFFERENT, Outcome::Wrong);
    assert!(surprises.is_empty(), "{} of {}:\n{}", surprises.len(), DIFFERENT.len(), surprises.join("\n"));
}

#[test]
fn unreadable_answers_say_why() {
    let surprises = outcomes(UNREADABLE, Outcome::Unparseable);
    assert!(surprises.is_empty(), "{} of {}:\n{}", surprises.len(), UNREADABLE.len(), surprises.join("\n"));
}

#[test]
fn a_gold_answer_that_cannot_be_read_is_an_error() {
    for gold in [
        "",
        "   ",
        "$$",
        "\\frac{1}{",
        "\\foo",
        "?",
        "5 +",
        "(1,2",
        "\\sum_{k=1}^n k",
        "9^{",
        &"(".repeat(100),
        &"1+".repeat(2_000),
    ] {
        assert!(MathGold::parse(&[gold]).is_err(), "`{gold}` was accepted");
    }
    assert!(MathGold::parse::<&str>(&[]).is_err());
}

#[test]
fn any_accepted_answer_is_right() {
    let gold = MathGold::parse(&["3", "\\frac{1}{2}"]).unwrap();
    assert_eq!(gold.judge("\\boxed{0.5}").outcome, Outcome::Correct);
    assert_eq!(gold.judge("\\boxed{3}").outcome, Outcome::Correct);
    assert_eq!(gold.judge("\\boxed{4}").outcome, Outcome::Wrong);
}
