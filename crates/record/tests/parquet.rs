//! Parquet files, read by the reader of the crate `parquet`.
#![cfg(feature = "parquet")]

use bytes::Bytes;
use flow::{Endpoint, Timestamp};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use proptest::prelude::*;
use record::Flow;
use record::parquet::Encoder;

fn rows(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect()
}

fn value<'r>(row: &'r Row, name: &str) -> &'r Field {
    let mut columns = row.get_column_iter();
    let found = columns.find(|(column, _)| *column == name);
    found.unwrap_or_else(|| panic!("no column {name}")).1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_reader_finds_what_was_encoded(
        records in proptest::collection::vec(
            (any::<u64>(), any::<u16>(), any::<Option<u64>>(), "[a-zA-Z]{0,8}"),
            0..100,
        ),
        group in 1_usize..50,
    ) {
        let mut encoder = Encoder::with_group_rows(group);
        let mut file = Vec::new();
        for (packets, port, octets, history) in &records {
            let initiator = Endpoint { address: [192, 0, 2, 1].into(), port: *port };
            let responder = "[2001:db8::1]:443".parse().unwrap();
            let mut flow = Flow::new(initiator, responder, 6);
            flow.started = Timestamp::from_nanos(packets >> 1);
            flow.initiator.packets = *packets;
            flow.responder.ip_octets = *octets;
            flow.history = history;
            encoder.encode(&flow, &mut file).unwrap();
        }
        encoder.finish(&mut file).unwrap();
        let rows = rows(file);
        prop_assert_eq!(rows.len(), records.len());
        for (row, (packets, port, octets, history)) in rows.iter().zip(&records) {
            prop_assert_eq!(value(row, "initiator_packets"), &Field::ULong(*packets));
            prop_assert_eq!(value(row, "initiator_port"), &Field::UShort(*port));
            prop_assert_eq!(value(row, "initiator_address"), &Field::Str("192.0.2.1".into()));
            prop_assert_eq!(value(row, "protocol"), &Field::UByte(6));
            let octets = octets.map_or(Field::Null, Field::ULong);
            prop_assert_eq!(value(row, "responder_ip_bytes"), &octets);
            let history = Field::Str(history.clone());
            prop_assert_eq!(value(row, "history"), &history);
            let started = Field::Long((packets >> 1) as i64);
            prop_assert_eq!(value(row, "start"), &started);
        }
    }
}
