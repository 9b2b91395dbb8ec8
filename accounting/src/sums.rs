//! Sub-units by flow and contribution: what a hundred million records are added up in.
//!
//! Contributions are places in one sorted list, so a sum is an element of an array and not an entry of a hash table.
//! The array of a flow lies in pages that are made when something is first added to them: a flow that reaches few
//! contributions (the batch of an open challenge window) takes little room.

use crate::error::AccountingError;
use crate::names::index;

/// Contributions in a page.
pub(crate) const PAGE: usize = 256;

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// For each flow and page of contributions: one more than the place of the page, or zero.
    flows: Vec<Vec<u32>>,
    pages: Vec<Box<[u128; PAGE]>>,
}

impl Sums {
    /// Adds to the sum of a flow and the contribution at `place`.
    #[inline]
    pub(crate) fn add(&mut self, flow: usize, place: usize, sub: u128) -> Result<(), AccountingError> {
        let sum = &mut self.page(flow, place / PAGE)[place % PAGE];
        *sum = sum.checked_add(sub).ok_or_else(|| overflow(flow, place))?;
        Ok(())
    }

    /// Adds many: (flow, place of the contribution, sub-units). Nothing else is done between two additions, so that the
    /// processor waits for the memory of several at a time.
    pub(crate) fn add_all(&mut self, parts: &[(u32, u32, u128)]) -> Result<(), AccountingError> {
        for (flow, place, sub) in parts {
            self.add(index(*flow), index(*place), *sub)?;
        }
        Ok(())
    }

    /// Adds everything of another.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), AccountingError> {
        if self.flows.is_empty() {
            *self = other;
            return Ok(());
        }
        for (flow, directory) in other.flows.iter().enumerate() {
            for (number, at) in directory.iter().enumerate() {
                let Some(from) = page_at(&other.pages, *at) else { continue };
                for (place, (sum, sub)) in self.page(flow, number).iter_mut().zip(from).enumerate() {
                    *sum = sum.checked_add(*sub).ok_or_else(|| overflow(flow, number * PAGE + place))?;
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn page(&mut self, flow: usize, number: usize) -> &mut [u128; PAGE] {
        let known = self.flows.get(flow).and_then(|directory| directory.get(number)).copied().unwrap_or(0);
        let at = if known == 0 { self.new_page(flow, number) } else { known };
        &mut self.pages[index(at - 1)]
    }

    #[cold]
    fn new_page(&mut self, flow: usize, number: usize) -> u32 {
        if flow >= self.flows.len() {
            self.flows.resize_with(flow + 1, Vec::new);
        }
        let directory = &mut self.flows[flow];
        if number >= directory.len() {
            directory.resize(number + 1, 0);
        }
        self.pages.push(Box::new([0; PAGE]));
        // 2^32 pages would be 2^44 bytes.
        directory[number] = u32::try_from(self.pages.len()).unwrap_or(u32::MAX);
        directory[number]
    }

    /// The sum of every flow up to the last that anything was added to.
    pub(crate) fn of_flows(&self) -> Vec<u128> {
        let of_page = |at: &u32| self.at(*at).map_or(0, |page| page.iter().sum::<u128>());
        self.flows.iter().map(|directory| directory.iter().map(of_page).sum()).collect()
    }

    /// Everything above zero as (flow, place of the contribution, sub-units): by contribution, then by flow.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, usize, u128)> {
        let pages = self.flows.iter().map(Vec::len).max().unwrap_or(0);
        (0..pages).flat_map(move |number| {
            let of_flow = |(flow, directory): (usize, &Vec<u32>)| Some((flow, self.at(*directory.get(number)?)?));
            let filled: Vec<(usize, &[u128; PAGE])> = self.flows.iter().enumerate().filter_map(of_flow).collect();
            (0..PAGE).flat_map(move |place| {
                let filled = filled.clone();
                filled.into_iter().filter_map(move |(flow, page)| {
                    (page[place] > 0).then_some((flow, number * PAGE + place, page[place]))
                })
            })
        })
    }

    fn at(&self, at: u32) -> Option<&[u128; PAGE]> {
        page_at(&self.pages, at)
    }
}

fn page_at(pages: &[Box<[u128; PAGE]>], at: u32) -> Option<&[u128; PAGE]> {
    pages.get(usize::try_from(at.checked_sub(1)?).ok()?).map(AsRef::as_ref)
}

fn overflow(flow: usize, place: usize) -> AccountingError {
    AccountingError::inconsistent(format!("sub-units of flow {flow} and contribution {place} leave 128 bits"))
}

#[cfg(test)]
mod tests {
    use super::Sums;
    use std::collections::BTreeMap;

    #[test]
    fn sums_agree_with_a_map_however_they_are_divided() {
        let mut state = 1_u64;
        let mut parts = [Sums::default(), Sums::default(), Sums::default()];
        let mut expected: BTreeMap<(usize, usize), u128> = BTreeMap::new();
        for round in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let draw = usize::try_from(state >> 40).unwrap();
            let (flow, place, sub) = (draw % 5, draw * 31 % 3_001, u128::from(state >> 50));
            parts[round % 3].add(flow, place, sub).unwrap();
            *expected.entry((place, flow)).or_default() += sub;
        }
        let mut all = Sums::default();
        for part in parts {
            all.merge(part).unwrap();
        }
        expected.retain(|_, sub| *sub > 0);
        for (flow, sum) in all.of_flows().into_iter().enumerate() {
            assert_eq!(sum, expected.iter().filter(|((_, one), _)| *one == flow).map(|(_, sub)| *sub).sum::<u128>());
        }
        let found: Vec<_> = all.iter().map(|(flow, place, sub)| ((place, flow), sub)).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
        all.add(0, 7, u128::MAX - 1).unwrap_or_default();
        assert!(all.add(0, 7, u128::MAX).is_err());
    }
}
