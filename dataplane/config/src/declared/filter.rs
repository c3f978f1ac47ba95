//! What each filter may say.

use crate::declared::field;
use crate::schema::{Kind, Object, Presence, format};
use Presence::{Default, Optional, Required};

pub(crate) static FILTER: Kind = Kind::Tagged { tag: "filter", of: &[&HEADER_EDIT, &PATH_REWRITE] };

static HEADER_EDIT: Object = Object {
    title: "header_edit",
    doc: "Sets, adds and removes fields. Fields that frame a message or belong to one connection \
          are refused.",
    fields: &[
        field("request", "Of the request.", Kind::Record(&EDITS), Default("{}")),
        field("response", "Of the response.", Kind::Record(&EDITS), Default("{}")),
    ],
    exactly_one: &[],
};

static EDITS: Object = Object {
    title: "edits of `header_edit`",
    doc: "What is done to the fields of a message.",
    fields: &[
        field("set", "Replaces a field, or adds it.", FIELDS, Default("{}")),
        field("add", "Adds a field beside what is there.", FIELDS, Default("{}")),
        field(
            "remove",
            "Removes fields.",
            Kind::List { of: &Kind::Text(&format::EDITED_NAME), min: 0, max: 128 },
            Default("[]"),
        ),
    ],
    exactly_one: &[],
};

const FIELDS: Kind = Kind::Map { key: &format::EDITED_NAME, of: &Kind::Text(&format::FIELD_VALUE) };

static PATH_REWRITE: Object = Object {
    title: "path_rewrite",
    doc: "Changes the path that the upstream sees. The query goes along.",
    fields: &[
        field(
            "prefix",
            "What stands in place of the path prefix that the route matches.",
            Kind::Text(&format::PATH),
            Optional,
        ),
        field(
            "regex",
            "What is replaced wherever it occurs in the path.",
            Kind::Record(&REGEX_REWRITE),
            Optional,
        ),
        field("full", "The new path, as a whole.", Kind::Text(&format::PATH), Optional),
    ],
    exactly_one: &["prefix", "regex", "full"],
};

static REGEX_REWRITE: Object = Object {
    title: "`regex` of `path_rewrite`",
    doc: "A replacement by regular expression.",
    fields: &[
        field("pattern", "What is replaced.", Kind::Text(&format::REGEX), Required),
        field(
            "substitution",
            "What stands in its place; `$1` or `${1}` is the first group. Write `$${name}` for a \
             named one.",
            Kind::Text(&format::ANY),
            Required,
        ),
    ],
    exactly_one: &[],
};
