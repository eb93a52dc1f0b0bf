//! From an expression to tantivy's query.

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, EmptyQuery, Occur, PhraseQuery, Query, TermQuery, TermSetQuery,
};
use tantivy::schema::IndexRecordOption;

use super::expression::Expression;
use super::schema::Fields;
use super::settled::Settled;
use super::words::Blinder;

/// Makes queries for one set of streams.
pub(super) struct Translator<'t> {
    pub fields: &'t Fields,
    pub blinder: &'t Blinder,
    /// The ids of the streams whose labels a leaf asks for.
    pub labelled: &'t dyn Fn(&Expression) -> Vec<u64>,
}

impl Translator<'_> {
    pub(super) fn query(&self, expression: &Expression) -> Box<dyn Query> {
        match expression {
            Expression::All => Box::new(AllQuery),
            Expression::Tag { name, phrase } => self.phrase(Some(name), phrase),
            Expression::Label { .. } => self.streams((self.labelled)(expression)),
            Expression::Value { phrase } => Box::new(BooleanQuery::union(vec![
                self.phrase(None, phrase),
                self.streams((self.labelled)(expression)),
            ])),
            Expression::Codec(codec) => term(Term::from_field_text(self.fields.codec, codec)),
            Expression::Group { must, should, must_not } => self.group(must, should, must_not),
        }
    }

    /// Documents of these streams.
    pub(super) fn streams(&self, ids: Vec<u64>) -> Box<dyn Query> {
        if ids.is_empty() {
            return Box::new(EmptyQuery);
        }
        Box::new(TermSetQuery::new(ids.into_iter().map(|id| Term::from_field_u64(self.fields.stream, id))))
    }

    fn group(&self, must: &[Expression], should: &[Expression], must_not: &[Expression]) -> Box<dyn Query> {
        let query = |one| self.query(one);
        let mut clauses: Vec<_> = must.iter().map(query).map(|one| (Occur::Must, one)).collect();
        if must.is_empty() {
            let some: Box<dyn Query> = if should.is_empty() {
                Box::new(AllQuery)
            } else {
                Box::new(BooleanQuery::union(should.iter().map(query).collect()))
            };
            clauses.push((Occur::Must, some));
        }
        for one in must_not {
            clauses.push((Occur::MustNot, Box::new(Settled(query(one)))));
        }
        Box::new(BooleanQuery::new(clauses))
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
