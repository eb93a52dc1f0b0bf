//! From an expression to tantivy's query.

use std::sync::Arc;

use tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, Occur, PhraseQuery, Query, TermQuery, TermSetQuery,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{Searcher, TantivyError, Term};

use super::described::Ids;
use super::expression::Expression;
use super::overlapping::Overlapping;
use super::schema::Fields;
use super::settled::Settled;
use super::words::Blinder;
use crate::event::Spans;

/// Makes queries for one set of streams in one month's index.
pub(super) struct Translator<'t> {
    pub searcher: &'t Searcher,
    pub fields: &'t Fields,
    pub blinder: &'t Blinder,
    /// The ids of the streams whose labels a leaf asks for.
    pub labelled: &'t dyn Fn(&Expression) -> Vec<u64>,
    /// The times at which events make a leaf hold, if they do.
    pub overlapped: &'t dyn Fn(&Expression) -> Option<Arc<Spans>>,
}

impl Translator<'_> {
    pub(super) fn query(&self, expression: &Expression) -> Result<Box<dyn Query>, TantivyError> {
        Ok(match expression {
            Expression::All => Box::new(AllQuery),
            Expression::Tag { name, phrase } => {
                let tagged = self.described(self.phrase(Some(name), phrase).as_ref())?;
                self.or_overlapped(expression, vec![tagged])
            }
            Expression::Label { .. } => self.streams((self.labelled)(expression)),
            Expression::Value { phrase } => {
                let tagged = self.described(self.phrase(None, phrase).as_ref())?;
                let labelled = self.streams((self.labelled)(expression));
                self.or_overlapped(expression, vec![tagged, labelled])
            }
            Expression::Codec(codec) => {
                self.described(term(Term::from_field_text(self.fields.codec, codec)).as_ref())?
            }
            Expression::Group { must, should, must_not } => self.group(must, should, must_not)?,
        })
    }

    /// Documents of the fragments that have a description which `query` finds.
    fn described(&self, query: &dyn Query) -> Result<Box<dyn Query>, TantivyError> {
        let ids = self.searcher.search(query, &Ids)?;
        if ids.is_empty() {
            return Ok(Box::new(EmptyQuery));
        }
        let terms = ids.into_iter().map(|id| Term::from_field_u64(self.fields.described, id));
        Ok(Box::new(TermSetQuery::new(terms)))
    }

    /// Documents of any of these queries, or within an event that makes the leaf hold.
    fn or_overlapped(&self, leaf: &Expression, mut any: Vec<Box<dyn Query>>) -> Box<dyn Query> {
        let overlapping = |spans| Box::new(Overlapping { spans, stream: self.fields.stream });
        any.extend((self.overlapped)(leaf).map(|spans| overlapping(spans) as Box<dyn Query>));
        Box::new(BooleanQuery::union(any))
    }

    /// Documents of these streams.
    pub(super) fn streams(&self, ids: Vec<u64>) -> Box<dyn Query> {
        if ids.is_empty() {
            return Box::new(EmptyQuery);
        }
        Box::new(TermSetQuery::new(ids.into_iter().map(|id| Term::from_field_u64(self.fields.stream, id))))
    }

    fn group(
        &self,
        must: &[Expression],
        should: &[Expression],
        must_not: &[Expression],
    ) -> Result<Box<dyn Query>, TantivyError> {
        let all = |some: &[Expression]| some.iter().map(|one| self.query(one)).collect::<Result<Vec<_>, _>>();
        let mut clauses: Vec<_> = all(must)?.into_iter().map(|one| (Occur::Must, one)).collect();
        if must.is_empty() {
            let some: Box<dyn Query> = if should.is_empty() {
                Box::new(AllQuery)
            } else {
                Box::new(BooleanQuery::union(all(should)?))
            };
            clauses.push((Occur::Must, some));
        }
        for one in all(must_not)? {
            clauses.push((Occur::MustNot, Box::new(Settled(one))));
        }
        Ok(Box::new(BooleanQuery::new(clauses)))
    }

    fn phrase(&self, name: Option<&str>, phrase: &[String]) -> Box<dyn Query> {
        let text = |word: &String| Term::from_field_text(self.fields.words, &self.blinder.term(name, word));
        match phrase {
            [] => Box::new(EmptyQuery),
            [word] => term(text(word)),
            [..] => Box::new(PhraseQuery::new(phrase.iter().map(text).collect())),
        }
    }
}

fn term(term: Term) -> Box<dyn Query> {
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}
