//! What was meant where a name is not there.

/// The most letters by which a name may be off.
const MOST_OFF: usize = 3;

/// The candidate that is most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let off = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let near = candidates.into_iter().map(|candidate| (off(candidate), candidate));
    let near = near.filter(|(off, candidate)| *off <= MOST_OFF.min(candidate.chars().count() / 2));
    near.min().map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_finds_its_name_and_another_word_none() {
        let names = ["OrderPlaced", "order.shipped", "Catalog"];
        assert_eq!(nearest("orderplaced", names), Some("OrderPlaced"));
        assert_eq!(nearest("Catalgo", names), Some("Catalog"));
        assert_eq!(nearest("Invoice", names), None);
    }
}
