use super::{Leaf, Tree, climb, siblings};
use alloy_primitives::{Address, b256};

fn leaves(count: u8) -> Vec<Leaf> {
    (0..count).map(|n| Leaf::new(Address::repeat_byte(n + 1), Address::ZERO, u128::from(n) * 1_000 + 1)).collect()
}

/// `StandardMerkleTree.of([["0x11…", "0x22…", "5000000000000000000"], ["0x33…", "0x22…", "2500000000000000000"]],
/// ["address", "address", "uint256"])` of `@openzeppelin/merkle-tree` 1.0.8.
#[test]
fn leaf_is_the_double_hash_of_the_abi_encoding() {
    let encoded = alloy_sol_types::SolValue::abi_encode(&(
        Address::repeat_byte(0x11),
        Address::repeat_byte(0x22),
        alloy_primitives::U256::from(5_000_000_000_000_000_000_u128),
    ));
    let leaf = Leaf::new(Address::repeat_byte(0x11), Address::repeat_byte(0x22), 5_000_000_000_000_000_000);
    assert_eq!(leaf.hash, alloy_primitives::keccak256(alloy_primitives::keccak256(encoded)));
    assert_ne!(leaf.hash, b256!("0000000000000000000000000000000000000000000000000000000000000000"));
}

#[test]
fn every_leaf_of_every_size_proves_itself_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for count in 1..=33u8 {
        let tree = Tree::new(leaves(count));
        let file = folder.path().join(format!("{count}.nodes"));
        super::save(&file, |out| tree.write_nodes(out)).unwrap();
        for (index, leaf) in (0..).zip(tree.leaves()) {
            let path = siblings(&file, index, u64::from(count)).unwrap();
            assert_eq!(climb(leaf.hash, &path), tree.root(), "leaf {index} of {count}");
            assert!(path.is_empty() || climb(leaf.hash, &path[1..]) != tree.root());
        }
        assert!(siblings(&file, u64::from(count), u64::from(count)).is_err());
        assert!(siblings(&file, 0, u64::from(count) + 1).is_err());
    }
}

#[test]
fn the_dump_is_json_of_the_right_shape() {
    let tree = Tree::new(leaves(3));
    let mut bytes = Vec::new();
    tree.write_dump(&mut bytes).unwrap();
    let dump: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(dump["tree"].as_array().unwrap().len(), 5);
    for value in dump["values"].as_array().unwrap() {
        let index = usize::try_from(value["treeIndex"].as_u64().unwrap()).unwrap();
        let account: Address = value["value"][0].as_str().unwrap().parse().unwrap();
        let leaf = tree.leaves().find(|leaf| leaf.account == account).unwrap();
        assert_eq!(dump["tree"][index], tributary_schemas::column::hex_text(leaf.hash));
    }
}
