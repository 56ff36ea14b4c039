//! Generates the cases of a run.

use super::case::Case;
use super::corpus::Source;
use super::mutation::{self, Mutation};
use super::random::Random;

/// How often a case has two changes: one in this many.
const PAIR_EVERY: usize = 5;

/// Generates the cases of a seed. Takes the sources in turn, each with its next change, so that small requests are covered
/// completely before large documents are.
pub(crate) struct Generator<'a> {
    sources: Vec<(&'a Source, Vec<Mutation>)>,
    random: Random,
    turn: usize,
    round: usize,
    given: usize,
}

impl<'a> Generator<'a> {
    pub(crate) fn new(sources: &'a [Source], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let sources = sources
            .iter()
            .map(|source| {
                let mut mutations = mutation::all(&source.input);
                random.shuffle(&mut mutations);
                (source, mutations)
            })
            .collect();
        Self { sources, random, turn: 0, round: 0, given: 0 }
    }

    /// Returns the number of single changes.
    pub(crate) fn singles(&self) -> usize {
        self.sources.iter().map(|(_, mutations)| mutations.len()).sum()
    }

    /// Returns whether all single changes were generated.
    pub(crate) fn has_given_all_singles(&self) -> bool {
        self.sources.iter().all(|(_, mutations)| mutations.len() <= self.round)
    }

    fn pair(&mut self) -> Case<'a> {
        let position = self.random.below(self.sources.len());
        let (source, mutations) = &self.sources[position];
        let mutations = [(); 2].map(|()| mutations[self.random.below(mutations.len())].clone()).to_vec();
        Case { source, mutations }
    }

    fn single(&mut self) -> Option<Case<'a>> {
        for _ in 0..self.sources.len() {
            let (source, mutations) = &self.sources[self.turn];
            let mutation = mutations.get(self.round).cloned();
            self.turn += 1;
            if self.turn == self.sources.len() {
                self.turn = 0;
                self.round += 1;
            }
            if let Some(mutation) = mutation {
                return Some(Case { source, mutations: vec![mutation] });
            }
        }
        None
    }
}

impl<'a> Iterator for Generator<'a> {
    type Item = Case<'a>;

    /// Never ends: after all single changes, pairs follow.
    fn next(&mut self) -> Option<Case<'a>> {
        self.given += 1;
        if self.given.is_multiple_of(PAIR_EVERY) {
            return Some(self.pair());
        }
        Some(self.single().unwrap_or_else(|| self.pair()))
    }
}
