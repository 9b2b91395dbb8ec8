//! The lists that a rule or a call goes through.

use super::parse::{LEVELS_MAX, Scope};
use super::{Place, Step};
use crate::decode::Kind;

impl Scope<'_> {
    /// Goes through lists: several of one level, or one of several levels.
    pub(super) fn go_through(&mut self, paths: &[String]) -> Result<(), String> {
        let mut places = Vec::<Place>::new();
        for path in paths {
            self.levels = LEVELS_MAX;
            let (place, kind) = self.place(path).map_err(|refusal| refusal.reason)?;
            self.levels = 1 + place.steps.iter().filter(|step| matches!(step, Step::Each(_))).count();
            if !matches!(kind, Kind::List(_)) {
                return Err(format!("{path:?} is {kind}: expected a list"));
            }
            if paths.len() > 1 && self.levels > 1 || self.levels >= LEVELS_MAX {
                return Err(format!("{path:?}: expected lists of one level, or one list of fewer than {LEVELS_MAX}"));
            }
            places.push(place);
        }
        if places.is_empty() {
            self.levels = 0;
        }
        self.each = places;
        Ok(())
    }
}
