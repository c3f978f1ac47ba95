//! Heads as every protocol version fills them.

use crate::{BodyLength, Field, FieldId, Method, Span};

/// A version of HTTP/1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: connections close unless asked to stay.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// The form of a request target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, for CONNECT.
    Authority,
    /// `*`, for OPTIONS.
    Asterisk,
}

/// A request's head. Reused from request to request: parsing clears it and keeps its capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The method as it came.
    pub method_text: Span,
    /// The form of the target.
    pub target_form: TargetForm,
    /// The target as it came.
    pub target: Span,
    /// The target's path, without the query. Empty for the authority form and for an absolute form
    /// without a path; `*` for the asterisk form.
    pub path: Span,
    /// What follows the `?`.
    pub query: Option<Span>,
    /// Host, or the authority of the target. Empty in HTTP/1.0 only.
    pub authority: Span,
    /// The version.
    pub version: Version,
    /// The fields in order.
    pub fields: Vec<Field>,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the client wants the connection to go on.
    pub persistent: bool,
    /// Whether the client waits for 100 (Continue) before it sends its body.
    pub expects_continue: bool,
    /// The value of Upgrade, if Connection lists it too and the version is HTTP/1.1.
    pub upgrade: Option<Span>,
}

/// A response's head. Reused like [`RequestHead`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase; may be empty.
    pub reason_phrase: Span,
    /// The version.
    pub version: Version,
    /// The fields in order.
    pub fields: Vec<Field>,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the upstream wants the connection to go on.
    pub persistent: bool,
    /// The value of Upgrade, if Connection lists it too.
    pub upgrade: Option<Span>,
}

impl RequestHead {
    /// The first field with this id.
    pub fn find(&self, id: FieldId) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The value of the first field with this name, which is given in lower case.
    pub fn find_name<'a>(&self, buf: &'a [u8], lower_name: &[u8]) -> Option<&'a [u8]> {
        find_name(&self.fields, buf, lower_name)
    }
}

impl ResponseHead {
    /// The first field with this id.
    pub fn find(&self, id: FieldId) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The value of the first field with this name, which is given in lower case.
    pub fn find_name<'a>(&self, buf: &'a [u8], lower_name: &[u8]) -> Option<&'a [u8]> {
        find_name(&self.fields, buf, lower_name)
    }
}

fn find_name<'a>(fields: &[Field], buf: &'a [u8], lower_name: &[u8]) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|field| field.name.of(buf).eq_ignore_ascii_case(lower_name))
        .map(|field| field.value.of(buf))
}
