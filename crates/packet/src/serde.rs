//! Serialisation of types that are not derived.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use crate::MacAddress;

/// As text, which is the form that people and other programs know.
impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use crate::{LinkType, MacAddress, PacketMeta, Timestamp, VlanTag};

    #[test]
    fn every_type_survives_json() {
        let address = MacAddress([0, 0, 0x5e, 0, 0x53, 1]);
        let text = serde_json::to_string(&address).unwrap();
        assert_eq!(text, r#""00:00:5e:00:53:01""#);
        assert_eq!(serde_json::from_str::<MacAddress>(&text).unwrap(), address);
        assert!(serde_json::from_str::<MacAddress>(r#""00:00""#).is_err());

        let mut meta = PacketMeta::new(7, Timestamp::from_nanos(8), LinkType::LINUX_SLL);
        meta.vlan = Some(VlanTag { tpid: 0x8100, tci: 5 });
        let text = serde_json::to_string(&meta).unwrap();
        assert!(text.contains(r#""timestamp":8"#) && text.contains(r#""link_type":113"#), "{text}");
        assert_eq!(serde_json::from_str::<PacketMeta>(&text).unwrap(), meta);
    }
}
