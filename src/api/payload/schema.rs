//! The registered schema of a type, made ready for the walk: patterns compiled, secrets marked; once per type.

use std::{
    any::TypeId,
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use poem_openapi::{
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use regex::Regex;
use serde_json::Value;

use super::redact::is_secret_name;

static SHAPES: LazyLock<RwLock<HashMap<TypeId, Arc<Shape>>>> = LazyLock::new(RwLock::default);

/// What a type's documented schema demands.
#[derive(Debug)]
pub(super) struct Shape {
    pub root: Node,
    /// The schemas that are referred to by name
    pub named: HashMap<String, Node>,
}

/// One schema.
#[derive(Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub nullable: bool,
    /// Whether this is or contains a secret, so that nothing in it may be shown again
    pub secret: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Any,
    Boolean,
    Integer {
        limits: Option<(i128, i128)>,
        range: Range,
    },
    Number(Range),
    String(Text),
    /// One of the listed values
    Choice(Vec<Value>),
    List {
        items: Box<Node>,
        size: Size,
        unique: bool,
    },
    Record(Vec<Member>),
    Map {
        values: Box<Node>,
        size: Size,
    },
    Reference(String),
    All(Vec<Node>),
    Either(Vec<Node>),
}

#[derive(Debug)]
pub(super) struct Member {
    pub name: &'static str,
    pub node: Node,
    pub required: bool,
    pub read_only: bool,
}

#[derive(Debug, Default)]
pub(super) struct Size {
    pub min: Option<usize>,
    pub max: Option<usize>,
}

/// Limits of a number; each with whether the limit itself is excluded.
#[derive(Debug, Default)]
pub(super) struct Range {
    pub min: Option<(f64, bool)>,
    pub max: Option<(f64, bool)>,
    pub multiple_of: Option<f64>,
}

/// Limits of a string; lengths in code points.
#[derive(Debug)]
pub(super) struct Text {
    pub size: Size,
    pub pattern: Option<Regex>,
    pub format: Format,
}

/// The formats that are checked in the walk; any other is checked when the value is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    DateTime,
    Email,
    Uri,
    Uuid,
}

impl Shape {
    /// The shape of `T`, built at first use.
    pub fn of<T: Type + 'static>() -> Arc<Self> {
        let id = TypeId::of::<T>();
        if let Some(shape) = SHAPES.read().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return shape.clone();
        }
        let mut registry = Registry::new();
        T::register(&mut registry);
        let shape = Arc::new(Self::build(&T::schema_ref(), &registry));
        SHAPES.write().unwrap_or_else(PoisonError::into_inner).entry(id).or_insert(shape).clone()
    }

    fn build(root: &MetaSchemaRef, registry: &Registry) -> Self {
        let compiler = Compiler { registry };
        let named = registry.schemas.iter().map(|(name, schema)| (name.clone(), compiler.schema(schema)));
        Self { root: compiler.reference(root), named: named.collect() }
    }
}

struct Compiler<'a> {
    registry: &'a Registry,
}

impl Compiler<'_> {
    fn reference(&self, schema: &MetaSchemaRef) -> Node {
        match schema {
            MetaSchemaRef::Inline(schema) => self.schema(schema),
            MetaSchemaRef::Reference(name) => Node {
                kind: Kind::Reference(name.clone()),
                nullable: false,
                secret: self.holds_secret(schema, &mut HashSet::new()),
            },
        }
    }

    fn schema(&self, schema: &MetaSchema) -> Node {
        let all = |schemas: &[MetaSchemaRef]| schemas.iter().map(|schema| self.reference(schema)).collect();
        let size = |min, max| Size { min, max };
        let kind = if !schema.all_of.is_empty() {
            // poem-openapi writes `allOf: [$ref, changes]` and the changes beside it once more.
            Kind::All(all(&schema.all_of))
        } else if !schema.any_of.is_empty() {
            Kind::Either(all(&schema.any_of))
        } else if !schema.one_of.is_empty() {
            Kind::Either(all(&schema.one_of))
        } else if !schema.enum_items.is_empty() {
            Kind::Choice(schema.enum_items.clone())
        } else {
            match type_of(schema) {
                "boolean" => Kind::Boolean,
                "integer" => Kind::Integer { limits: integer_limits(schema.format), range: range(schema) },
                "number" => Kind::Number(range(schema)),
                "string" => Kind::String(Text {
                    size: size(schema.min_length, schema.max_length),
                    pattern: schema.pattern.as_deref().map(compile),
                    format: format(schema.format),
                }),
                "array" => Kind::List {
                    items: Box::new(self.optional(schema.items.as_deref())),
                    size: size(schema.min_items, schema.max_items),
                    unique: schema.unique_items == Some(true),
                },
                "object" if schema.properties.is_empty() => Kind::Map {
                    values: Box::new(self.optional(schema.additional_properties.as_deref())),
                    size: size(schema.min_properties, schema.max_properties),
                },
                "object" => Kind::Record(self.members(schema)),
                _ => Kind::Any,
            }
        };
        let secret = self.inline_holds_secret(schema, &mut HashSet::new());
        Node { kind, nullable: schema.nullable, secret }
    }

    fn optional(&self, schema: Option<&MetaSchemaRef>) -> Node {
        schema
            .map_or(Node { kind: Kind::Any, nullable: true, secret: false }, |schema| self.reference(schema))
    }

    fn members(&self, schema: &MetaSchema) -> Vec<Member> {
        let member = |(name, member): &(&'static str, MetaSchemaRef)| Member {
            name,
            node: self.reference(member),
            required: schema.required.contains(name),
            read_only: matches!(member, MetaSchemaRef::Inline(member) if member.read_only),
        };
        schema.properties.iter().map(member).collect()
    }

    fn holds_secret(&self, schema: &MetaSchemaRef, seen: &mut HashSet<String>) -> bool {
        match schema {
            MetaSchemaRef::Inline(schema) => self.inline_holds_secret(schema, seen),
            MetaSchemaRef::Reference(name) => {
                seen.insert(name.clone())
                    && self
                        .registry
                        .schemas
                        .get(name)
                        .is_some_and(|schema| self.inline_holds_secret(schema, seen))
            }
        }
    }

    fn inline_holds_secret(&self, schema: &MetaSchema, seen: &mut HashSet<String>) -> bool {
        let nested = schema.items.iter().chain(&schema.additional_properties).map(AsRef::as_ref);
        let combined = schema.all_of.iter().chain(&schema.any_of).chain(&schema.one_of);
        schema.write_only
            || schema.format == Some("password")
            || schema
                .properties
                .iter()
                .any(|(name, member)| is_secret_name(name) || self.holds_secret(member, seen))
            || nested.chain(combined).any(|schema| self.holds_secret(schema, seen))
    }
}

/// The documented type, or the one whose keywords are used without it.
fn type_of(schema: &MetaSchema) -> &'static str {
    if !schema.ty.is_empty() {
        schema.ty
    } else if schema.min_length.is_some() || schema.max_length.is_some() || schema.pattern.is_some() {
        "string"
    } else if schema.minimum.is_some() || schema.maximum.is_some() || schema.multiple_of.is_some() {
        "number"
    } else if schema.min_items.is_some() || schema.max_items.is_some() || schema.unique_items.is_some() {
        "array"
    } else if schema.min_properties.is_some() || schema.max_properties.is_some() {
        "object"
    } else {
        ""
    }
}

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern)
        .expect("patterns are constants of the code, and its document is built in every test run")
}

fn format(format: Option<&str>) -> Format {
    match format {
        Some("date-time") => Format::DateTime,
        Some("email") => Format::Email,
        Some("uri") => Format::Uri,
        Some("uuid") => Format::Uuid,
        _ => Format::Plain,
    }
}

/// What fits into the integer type that a format names; poem-openapi reads every integer as an `i64`.
fn integer_limits(format: Option<&str>) -> Option<(i128, i128)> {
    Some(match format? {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN.into(), i64::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, i64::MAX.into()),
        _ => return None,
    })
}

fn range(schema: &MetaSchema) -> Range {
    Range {
        min: schema.minimum.map(|limit| (limit, schema.exclusive_minimum == Some(true))),
        max: schema.maximum.map(|limit| (limit, schema.exclusive_maximum == Some(true))),
        multiple_of: schema.multiple_of,
    }
}
