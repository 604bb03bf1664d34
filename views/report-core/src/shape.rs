//! Reads one event, whichever of the common shapes it has.
//!
//! There is no detection of a shape: each fact is looked for where ours and the other shapes have it (WorkOS,
//! Retraced, CloudEvents 1.0, OCSF, ECS, CloudTrail), in a fixed order, and the first place that says something
//! counts. `docs/views/compliance-report.md` has the same lists as tables.

use std::borrow::Cow;

use crate::changes::{read_changes, Change};
use crate::instant;
use crate::party::{parties, party, Party};
use crate::pieces::{elements, members, object, text};
use crate::scan::{decode, Piece, Unreadable};
use crate::texts::TEXT_BYTES;

/// Why nothing can be read from an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The payload was erased.
    Erased = 1,
    /// The bytes are not UTF-8.
    NotUtf8 = 2,
    /// Not JSON as RFC 8259 has it.
    NotJson = 3,
    /// JSON, but not an object.
    NotAnObject = 4,
    /// An identifier, a name, a type or a field of more than `TEXT_BYTES`.
    TooLong = 5,
}

impl Why {
    /// All reasons, each at the index of its number less one.
    pub const ALL: [Self; 5] = [Self::Erased, Self::NotUtf8, Self::NotJson, Self::NotAnObject, Self::TooLong];

    /// The name in the cover of an answer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TooLong => "too_long",
        }
    }
}

impl From<Unreadable> for Why {
    fn from(_: Unreadable) -> Self {
        Self::NotJson
    }
}

/// What one event says.
#[derive(Debug, Default)]
pub struct Reading<'a> {
    /// The type of the action.
    pub action: Option<Cow<'a, str>>,
    /// Who acted.
    pub actor: Option<Party<'a>>,
    /// What was acted on.
    pub resources: Vec<Party<'a>>,
    /// What changed.
    pub changes: Vec<Change<'a>>,
    /// When it happened by its own account, in microseconds since 1970.
    pub occurred: Option<i64>,
    /// How it ended.
    pub outcome: Option<Cow<'a, str>>,
    /// Whether the event itself says that it only read something.
    pub read: bool,
}

impl Reading<'_> {
    /// Visits all texts in the order in which they are kept.
    pub fn each_text(&self, mut visit: impl FnMut(&str)) {
        let mut visit_all = |texts: [Option<&str>; 3]| texts.into_iter().flatten().for_each(&mut visit);
        visit_all([self.action.as_deref(), None, None]);
        self.actor.iter().for_each(|actor| visit_all(actor.texts()));
        visit_all([self.outcome.as_deref(), None, None]);
        self.resources.iter().for_each(|resource| visit_all(resource.texts()));
        self.changes.iter().for_each(|change| visit_all(change.texts()));
    }
}

members!(Member {
    Type = "type", Action = "action", Event = "event", EventAction = "event.action", EventName = "eventName",
    TypeName = "type_name", ActivityName = "activity_name", TypeUid = "type_uid", ClassUid = "class_uid",
    ActivityId = "activity_id",
    Actor = "actor", User = "user", UserId = "user.id", UserName = "user.name", UserEmail = "user.email",
    UserIdentity = "userIdentity",
    Resource = "resource", Resources = "resources", Targets = "targets", Target = "target", Entity = "entity",
    File = "file", Subject = "subject",
    Changes = "changes", Fields = "fields",
    OccurredAt = "occurred_at", Time = "time", EventTime = "eventTime", Timestamp = "@timestamp",
    TimeDt = "time_dt", Created = "created",
    Outcome = "outcome", EventOutcome = "event.outcome", IsFailure = "is_failure", ErrorCode = "errorCode",
    StatusId = "status_id", Status = "status",
    Crud = "crud", ReadOnly = "readOnly",
    SpecVersion = "specversion", Data = "data",
});

members!(EventMember { Action = "action", Type = "type", Outcome = "outcome" });

members!(UserMember { Target = "target", Changes = "changes" });

const OCSF: u64 = Member::ActivityId.bit() | Member::ClassUid.bit() | Member::TypeUid.bit();
const CLAIMS: u64 = Member::OccurredAt.bit()
    | Member::Time.bit()
    | Member::EventTime.bit()
    | Member::Timestamp.bit()
    | Member::TimeDt.bit()
    | Member::Created.bit();
const OUTCOMES: u64 = Member::Outcome.bit()
    | Member::Event.bit()
    | Member::EventOutcome.bit()
    | Member::IsFailure.bit()
    | Member::ErrorCode.bit()
    | Member::Status.bit()
    | Member::StatusId.bit();
const READS: u64 = Member::Crud.bit() | Member::ReadOnly.bit() | Member::ClassUid.bit();

type Members<'a> = crate::pieces::Members<'a, { Member::COUNT }>;
type EventMembers<'a> = crate::pieces::Members<'a, { EventMember::COUNT }>;
type UserMembers<'a> = crate::pieces::Members<'a, { UserMember::COUNT }>;

/// Reads an event. Members that it does not know, and known ones of another type, say nothing.
pub fn read(payload: &str) -> Result<Reading<'_>, Why> {
    let mut event = Members::new();
    if !event.read(payload, Member::of)? {
        return Err(Why::NotAnObject);
    }
    if event.get(Member::SpecVersion as usize).is_some() {
        let data = event.get(Member::Data as usize).map_or(Ok(None), |data| object(data, Member::of))?;
        if let Some(data) = data {
            event.complete_from(&data);
        }
    }
    Shape::new(&event)?.reading()
}

struct Shape<'s, 'a> {
    event: &'s Members<'a>,
    /// The object `event` of ECS.
    ecs: Option<EventMembers<'a>>,
}

impl<'s, 'a> Shape<'s, 'a> {
    fn new(event: &'s Members<'a>) -> Result<Self, Why> {
        let ecs =
            event.get(Member::Event as usize).map_or(Ok(None), |piece| object(piece, EventMember::of))?;
        Ok(Self { event, ecs })
    }

    fn get(&self, member: Member) -> Option<Piece<'a>> {
        self.event.get(member as usize)
    }

    fn has(&self, member: Member) -> bool {
        self.get(member).is_some()
    }

    fn of_ecs(&self, member: EventMember) -> Option<Piece<'a>> {
        self.ecs.as_ref()?.get(member as usize)
    }

    fn reading(&self) -> Result<Reading<'a>, Why> {
        let (actor, user_acts) = self.actor()?;
        let user: Option<UserMembers> =
            self.get(Member::User).map_or(Ok(None), |user| object(user, UserMember::of))?;
        let changes = self.changes(user.as_ref())?;
        Ok(Reading {
            action: self.action()?,
            actor,
            resources: self.resources(user.as_ref(), user_acts)?,
            read: self.only_reads() && changes.is_empty(),
            changes,
            occurred: self.occurred(),
            outcome: self.outcome()?,
        })
    }

    fn first_text(&self, pieces: &[Option<Piece<'a>>]) -> Result<Option<Cow<'a, str>>, Why> {
        for piece in pieces.iter().flatten() {
            if let Some(text) = kept(piece)? {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn action(&self) -> Result<Option<Cow<'a, str>>, Why> {
        for member in [Member::Type, Member::Action, Member::Event] {
            if let Some(action) = self.get(member).map_or(Ok(None), kept)? {
                return Ok(Some(action));
            }
        }
        let ecs_type = self.of_ecs(EventMember::Type).map_or(Ok(None), first_element)?;
        let foreign = [
            self.of_ecs(EventMember::Action),
            self.get(Member::EventAction),
            self.get(Member::EventName),
            self.get(Member::TypeName),
            self.get(Member::ActivityName),
            self.get(Member::TypeUid),
            ecs_type,
        ];
        Ok(self.first_text(&foreign)?.or_else(|| self.ocsf_type_uid().map(Cow::Owned)))
    }

    /// OCSF computes `type_uid` so where an event leaves it out.
    fn ocsf_type_uid(&self) -> Option<String> {
        let number = |member| self.get(member)?.parse::<u32>().ok();
        Some(match (number(Member::ClassUid), number(Member::ActivityId)?) {
            (Some(class), activity) => (u64::from(class) * 100 + u64::from(activity)).to_string(),
            (None, activity) => activity.to_string(),
        })
    }

    /// Who acted, and whether that is the event's `user`.
    fn actor(&self) -> Result<(Option<Party<'a>>, bool), Why> {
        if let Some(actor) = self.get(Member::Actor).map_or(Ok(None), party)? {
            return Ok((Some(actor), false));
        }
        if let Some(user) = self.get(Member::User).map_or(Ok(None), party)? {
            return Ok((Some(user), true));
        }
        let (name, email) = (self.get(Member::UserName), self.get(Member::UserEmail));
        if let Some(id) = self.first_text(&[self.get(Member::UserId), name, email])? {
            return Ok((Some(Party { kind: None, id, name: self.first_text(&[name])? }), true));
        }
        Ok((self.get(Member::UserIdentity).map_or(Ok(None), party)?, false))
    }

    fn resources(&self, user: Option<&UserMembers<'a>>, user_acts: bool) -> Result<Vec<Party<'a>>, Why> {
        let named = [Member::Resource, Member::Resources, Member::Targets, Member::Target, Member::Entity];
        for piece in named.into_iter().filter_map(|member| self.get(member)) {
            let found = parties(piece)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let target = user.and_then(|user| user.get(UserMember::Target as usize));
        // In OCSF's account changes `user` is whom somebody else changes.
        let changed_user = self.get(Member::User).filter(|_| self.is_ocsf() && !user_acts);
        let file = self.get(Member::File).filter(|piece| piece.starts_with('{'));
        for (piece, kind) in
            [(target, None), (changed_user, None), (file, Some("file")), (self.get(Member::Subject), None)]
        {
            if let Some(mut found) = piece.map_or(Ok(None), party)? {
                found.kind = found.kind.or(kind.map(Cow::Borrowed));
                return Ok(vec![found]);
            }
        }
        Ok(Vec::new())
    }

    fn is_ocsf(&self) -> bool {
        self.event.any(OCSF)
    }

    fn changes(&self, user: Option<&UserMembers<'a>>) -> Result<Vec<Change<'a>>, Why> {
        // `fields` means something else outside Retraced, and there `crud` is required.
        let fields = self.get(Member::Fields).filter(|_| self.has(Member::Crud));
        let of_user = user.and_then(|user| user.get(UserMember::Changes as usize));
        self.get(Member::Changes).or(of_user).or(fields).map_or(Ok(Vec::new()), read_changes)
    }

    fn occurred(&self) -> Option<i64> {
        if !self.event.any(CLAIMS) {
            return None;
        }
        let created = self.get(Member::Created).filter(|_| self.has(Member::Crud));
        let claimed =
            [Member::OccurredAt, Member::Time, Member::EventTime, Member::Timestamp, Member::TimeDt];
        let claims = claimed.into_iter().map(|member| self.get(member)).chain([created]);
        claims.flatten().find_map(moment)
    }

    fn outcome(&self) -> Result<Option<Cow<'a, str>>, Why> {
        if !self.event.any(OUTCOMES) {
            return Ok(None);
        }
        let told =
            [self.get(Member::Outcome), self.of_ecs(EventMember::Outcome), self.get(Member::EventOutcome)];
        if let Some(outcome) = self.first_text(&told)? {
            return Ok(Some(outcome));
        }
        let status = |member| self.get(member).filter(|_| self.is_ocsf());
        let failed = match (self.get(Member::IsFailure), status(Member::StatusId)) {
            (Some("true"), _) | (None, Some("2")) => Some("failure"),
            (Some("false"), _) | (None, Some("1")) => Some("success"),
            _ => self.get(Member::ErrorCode).map(|_| "failure"),
        };
        match failed {
            Some(outcome) => Ok(Some(Cow::Borrowed(outcome))),
            None => self.first_text(&[status(Member::Status)]),
        }
    }

    fn only_reads(&self) -> bool {
        if !self.event.any(READS) {
            return false;
        }
        let number = |member| self.get(member).unwrap_or_default();
        // File system, entity management and API activity: 2 is Read there, and something else elsewhere.
        let ocsf =
            matches!(number(Member::ClassUid), "1001" | "3004" | "6003") && number(Member::ActivityId) == "2";
        ocsf || self.get(Member::Crud) == Some("\"r\"") || self.get(Member::ReadOnly) == Some("true")
    }
}

fn moment(piece: Piece) -> Option<i64> {
    if piece.starts_with('"') {
        instant::parse(&decode(piece).ok()??)
    } else {
        instant::from_millis(piece)
    }
}

/// The first element of an array; anything else stands for itself.
fn first_element(piece: Piece) -> Result<Option<Piece>, Why> {
    let mut first = (!piece.starts_with('[')).then_some(piece);
    elements(piece, |element| first = first.or(Some(element)))?;
    Ok(first)
}

/// A text that may be kept.
#[inline]
pub fn kept(piece: Piece) -> Result<Option<Cow<str>>, Why> {
    match text(piece)? {
        Some(text) if text.len() > TEXT_BYTES => Err(Why::TooLong),
        text => Ok(text),
    }
}
