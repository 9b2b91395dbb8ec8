//! What to say about a word that is not known.

/// `what` is not known: what was got, the nearest known word, and all of them while they are few.
pub(crate) fn unknown<'a>(what: &str, got: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().min_by_key(|word| strsim::damerau_levenshtein(word, got));
    let Some(nearest) = nearest else { return format!("{what} {got:?}: there is none here") };
    // The vocabulary's kinds are too many to help in one line.
    let list = if known.len() <= 24 { format!(", of {}", known.join(", ")) } else { String::new() };
    format!("{what} {got:?}: the nearest is {nearest:?}{list}")
}
