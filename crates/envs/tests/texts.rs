//! Text answers and chemical equations.

use razor_envs::{Outcome, TextGold, text_answer};

#[test]
fn text_folds_case_space_and_markup() {
    for completion in [
        "\\boxed{Carbon  Dioxide}",
        "Answer: carbon dioxide.",
        "carbon dioxide",
        "<answer>Carbon dioxide</answer>",
        "\\boxed{\\text{carbon dioxide}}",
    ] {
        assert_eq!(
            text_answer("carbon dioxide", completion).unwrap().outcome,
            Outcome::Correct,
            "{completion}"
        );
    }
    assert_eq!(text_answer("carbon dioxide", "carbon monoxide").unwrap().outcome, Outcome::Wrong);
    assert_eq!(text_answer("carbon dioxide", "").unwrap().outcome, Outcome::Unparseable);
    assert!(TextGold::new(&["..."]).is_err());
}

const GOLD: &str = "H2S2O4 + 2ClO + 2H2O = 2H2SO4 + 2HCl";

#[test]
fn chemical_equations_are_the_same_in_any_spelling() {
    for completion in [
        GOLD,
        "2ClO + H2S2O4 + 2H2O -> 2HCl + 2H2SO4",
        "\\boxed{H_2S_2O_4 + 2ClO + 2H_2O \\rightarrow 2H_2SO_4 + 2HCl}",
        "$$\\boxed{\\text{H}_2\\text{S}_2\\text{O}_4 + 2\\text{ClO} + 2\\text{H}_2\\text{O} \\rightarrow 2\\text{H}_2\\text{SO}_4 + 2\\text{HCl}}$$",
        "The balanced chemical equation is:\nH₂S₂O₄ + 2 ClO + 2 H₂O → 2 H₂SO₄ + 2 HCl",
        "\\boxed{\\mathrm{H_{2}S_{2}O_{4}(aq) + 2 ClO(g) + 2 H_2O(l) \\to 2 H_2SO_4(aq) + 2 HCl(aq)}}",
        "Answer: 1H2S2O4+2ClO+2H2O=2H2SO4+2HCl",
    ] {
        let verdict = text_answer(GOLD, completion).unwrap();
        assert_eq!(verdict.outcome, Outcome::Correct, "{completion}: {}", verdict.reason);
    }
    assert_eq!(
        text_answer("3ZnCl2 + Fe2(SO4)3 = 3Zn(SO4) + 2FeCl3", "Fe2(SO4)3 + 3ZnCl2 -> 3ZnSO4 + 2FeCl3")
            .unwrap()
            .reward(),
        1.0
    );
    for (gold, completion) in [
        ("Fe^{3+} + e^- = Fe^{2+}", "Fe3+ + e- -> Fe2+"),
        ("Al + 3Fe{3+} = Al{3+} + 3Fe{2+}", "\\boxed{Al + 3Fe^{3+} \\to Al^{3+} + 3Fe^{2+}}"),
        ("Mg{+2} + 2OH{-} = Mg(OH)2", "Mg^{2+} + 2OH^- -> Mg(OH)_2"),
        ("SrCl2*6H2O = SrCl2 + 6H2O", "SrCl2·6H2O → SrCl2 + 6 H2O"),
    ] {
        assert_eq!(
            text_answer(gold, completion).unwrap().reason,
            "the same chemical equation",
            "{completion}"
        );
    }
}

#[test]
fn other_equations_are_wrong_and_say_how() {
    for (completion, reason) in [
        ("H2S2O4 + ClO + H2O = H2SO4 + HCl", "other coefficients"),
        ("2H2S2O4 + 4ClO + 4H2O = 4H2SO4 + 4HCl", "a multiple of the right coefficients"),
        ("H2S2O4 + 2ClO + 2H2O = 2H2SO3 + 2HCl", "other products: expected H2SO4 + HCl, found H2SO3 + HCl"),
        (
            "2H2SO4 + 2HCl = H2S2O4 + 2ClO + 2H2O",
            "other reactants: expected ClO + H2O + H2S2O4, found H2SO4 + HCl",
        ),
    ] {
        let verdict = text_answer(GOLD, completion).unwrap();
        assert_eq!((verdict.outcome, verdict.reason.as_str()), (Outcome::Wrong, reason));
    }
    assert_eq!(text_answer(GOLD, "I cannot balance it").unwrap().outcome, Outcome::Unparseable);
    assert_eq!(text_answer("2H2 + 2Cl2 = 4HCl", "H2 + Cl2 = 2HCl").unwrap().reward(), 1.0);
}
