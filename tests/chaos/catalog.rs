//! What is fought over: a few resources that everyone wants, and many that hardly two meet at.

use super::dice::Dice;
use super::history::{Mode, Name};

/// Namespaces, each of which lies in a partition of its own.
pub(super) const NAMESPACES: [&str; 6] =
    ["chaos/alpha", "chaos/beta", "chaos/gamma", "chaos/delta", "chaos/epsilon", "chaos/zeta"];
const QUIET_PATHS: usize = 40;
/// How many may hold the counted one.
const PLACES: u16 = 3;
/// Of a hundred asks this many want something that everyone wants.
const CONTENDED_PERCENT: u32 = 65;

/// How a resource is used.
#[derive(Clone, Copy, Debug)]
enum Use {
    Exclusive,
    /// Readers and a few writers.
    Mixed,
    Counted,
}

/// What everyone wants.
const HOT: [(&str, &str, Use); 6] = [
    ("chaos/alpha", "hot/one", Use::Exclusive),
    ("chaos/alpha", "hot/two", Use::Exclusive),
    ("chaos/beta", "hot/one", Use::Exclusive),
    ("chaos/gamma", "hot/one", Use::Exclusive),
    ("chaos/beta", "read", Use::Mixed),
    ("chaos/gamma", "places", Use::Counted),
];

/// A resource and how this ask wants it.
pub(super) struct Wanted {
    pub(super) namespace: Name,
    pub(super) path: Name,
    pub(super) mode: Mode,
    /// Many wait for it: who has it should not keep it long.
    pub(super) hot: bool,
}

impl Wanted {
    pub(super) fn choose(dice: &mut Dice) -> Self {
        if !dice.percent(CONTENDED_PERCENT) {
            let path = format!("quiet/{}", dice.below(QUIET_PATHS));
            let namespace = dice.pick(&NAMESPACES).into();
            return Self { namespace, path: path.into(), mode: Mode::Exclusive, hot: false };
        }
        let (namespace, path, usage) = dice.pick(&HOT);
        let mode = match usage {
            Use::Exclusive => Mode::Exclusive,
            Use::Mixed if dice.percent(25) => Mode::Exclusive,
            Use::Mixed => Mode::Shared,
            Use::Counted => Mode::Counted(PLACES),
        };
        Self { namespace: namespace.into(), path: path.into(), mode, hot: true }
    }

    /// Everything that must be free when all is over.
    pub(super) fn hot() -> Vec<Self> {
        let all = HOT.iter().map(|(namespace, path, usage)| Self {
            namespace: (*namespace).into(),
            path: (*path).into(),
            mode: if matches!(usage, Use::Counted) { Mode::Counted(PLACES) } else { Mode::Exclusive },
            hot: true,
        });
        all.collect()
    }
}

/// A resource as answers name it.
pub(super) fn key(namespace: &str, path: &str) -> Name {
    format!("{namespace}/{path}/default/").into()
}
