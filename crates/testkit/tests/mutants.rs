//! The list that `make mutants` works through: kept true to the code, which it is cheap to look at in every run.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

#[derive(Deserialize)]
struct Mutant {
    name: String,
    why: String,
    /// `seed 7`, or a scenario: `traps::name`.
    caught_by: String,
    file: String,
    search: String,
    replace: String,
}

/// Fewer would say little about the simulation.
const AT_LEAST: usize = 25;

/// Whether `caught_by` is a seed or a scenario that exists.
fn names_a_catcher(caught_by: &str) -> bool {
    if let Some(seed) = caught_by.strip_prefix("seed ") {
        return seed.parse::<u64>().is_ok_and(|seed| seed > 0);
    }
    let Some((module, name)) = caught_by.split_once("::") else {
        return false;
    };
    let code = match module {
        "healing" => include_str!("healing.rs"),
        "traps" => include_str!("traps.rs"),
        "simulation" => include_str!("simulation.rs"),
        _ => return false,
    };
    code.contains(&format!("#[test]\nfn {name}()"))
}

#[test]
fn every_mutant_still_fits_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("mutants/mutants.toml")).unwrap();
    let list: List = toml::from_str(&text).unwrap();
    assert!(list.mutant.len() >= AT_LEAST, "{}", list.mutant.len());
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for mutant in &list.mutant {
        let code = std::fs::read_to_string(root.join(&mutant.file)).unwrap_or_default();
        let found = code.matches(&mutant.search).count();
        if found != 1 {
            wrong.push(format!(
                "{}: its search text is {found} times in {}",
                mutant.name, mutant.file
            ));
        }
        if !names_a_catcher(&mutant.caught_by) {
            wrong.push(format!("{}: caught by {}?", mutant.name, mutant.caught_by));
        }
        if mutant.search == mutant.replace || mutant.why.is_empty() || !names.insert(&mutant.name) {
            wrong.push(format!(
                "{}: changes nothing, does not say why, or is there twice",
                mutant.name
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
