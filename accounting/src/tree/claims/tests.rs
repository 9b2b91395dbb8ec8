use super::{Claims, Kind};
use crate::tree::format::{EigenEarner, EigenToken, Format, Merkl, OpenZeppelin, Rocket, Uniswap};
use crate::tree::nodes::{Shape, siblings};
use alloy_primitives::{Address, B256, U256, address, b256, keccak256};
use std::path::PathBuf;

const KINDS: [(Kind, &str); 6] = [
    (Kind::OpenZeppelin, "account,token,amount"),
    (Kind::CumulativeDrop, "account,amount"),
    (Kind::Merkl, "account,token,amount"),
    (Kind::Uniswap, "index,account,amount"),
    (Kind::Eigen, "account,token,amount"),
    (Kind::Rocket, "account,network,rpl,eth,voter"),
];

/// A list in a file of a folder that lives as long as the test.
fn list(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("list.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn read(kind: Kind, text: &str) -> Claims {
    Claims::read(kind, &list(&tempfile::tempdir().unwrap(), text), None).unwrap()
}

fn refused(kind: Kind, text: impl AsRef<[u8]>, token: Option<Address>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.csv");
    std::fs::write(&path, text).unwrap();
    Claims::read(kind, &path, token).unwrap_err().to_string()
}

/// A second way to write every format, word by word from the contracts: bytes are put one after the other, and layers
/// are lists.
mod obvious {
    use super::{Address, B256, U256, keccak256};
    use std::collections::BTreeMap;

    fn word(number: U256) -> Vec<u8> {
        number.to_be_bytes_vec()
    }

    fn padded(address: Address) -> Vec<u8> {
        [vec![0; 12], address.to_vec()].concat()
    }

    fn sorted_pair(a: B256, b: B256) -> B256 {
        let mut two = [a, b];
        two.sort_unstable();
        keccak256([two[0].to_vec(), two[1].to_vec()].concat())
    }

    /// Pairs up layer by layer; a last one without a partner moves up as it is.
    fn promoted(mut leaves: Vec<B256>) -> B256 {
        leaves.sort_unstable();
        while leaves.len() > 1 {
            leaves =
                leaves.chunks(2).map(|two| if two.len() == 2 { sorted_pair(two[0], two[1]) } else { two[0] }).collect();
        }
        leaves[0]
    }

    /// Zero nodes up to a power of two.
    fn filled(mut leaves: Vec<B256>, pair: fn(B256, B256) -> B256) -> B256 {
        while !leaves.len().is_power_of_two() {
            leaves.push(B256::ZERO);
        }
        while leaves.len() > 1 {
            leaves = leaves.chunks(2).map(|two| pair(two[0], two[1])).collect();
        }
        leaves[0]
    }

    /// OpenZeppelin's array: node i is over 2i + 1 and 2i + 2, and the leaves, sorted, are its end in reverse.
    fn heap(mut leaves: Vec<B256>) -> B256 {
        leaves.sort_unstable();
        let mut nodes: BTreeMap<usize, B256> = BTreeMap::new();
        let last = 2 * leaves.len() - 2;
        for (number, leaf) in leaves.iter().enumerate() {
            nodes.insert(last - number, *leaf);
        }
        for at in (0..leaves.len() - 1).rev() {
            nodes.insert(at, sorted_pair(nodes[&(2 * at + 1)], nodes[&(2 * at + 2)]));
        }
        nodes[&0]
    }

    pub(super) fn open_zeppelin(list: &[(Address, Address, U256)]) -> B256 {
        let leaf = |(account, token, amount): &(Address, Address, U256)| {
            keccak256(keccak256([padded(*account), padded(*token), word(*amount)].concat()))
        };
        heap(list.iter().map(leaf).collect())
    }

    pub(super) fn merkl(list: &[(Address, Address, U256)]) -> B256 {
        let leaf = |(account, token, amount): &(Address, Address, U256)| {
            keccak256([padded(*account), padded(*token), word(*amount)].concat())
        };
        promoted(list.iter().map(leaf).collect())
    }

    pub(super) fn cumulative_drop(list: &[(Address, U256)]) -> B256 {
        let leaf = |(account, amount): &(Address, U256)| keccak256([account.to_vec(), word(*amount)].concat());
        promoted(list.iter().map(leaf).collect())
    }

    pub(super) fn uniswap(list: &[(U256, Address, U256)]) -> B256 {
        let leaf = |(index, account, amount): &(U256, Address, U256)| {
            keccak256([word(*index), account.to_vec(), word(*amount)].concat())
        };
        promoted(list.iter().map(leaf).collect())
    }

    pub(super) fn eigen(list: &[(Address, Address, U256)]) -> B256 {
        let pair = |a: B256, b: B256| keccak256([a.to_vec(), b.to_vec()].concat());
        let mut earners: BTreeMap<Address, BTreeMap<Address, U256>> = BTreeMap::new();
        for (account, token, amount) in list {
            earners.entry(*account).or_default().insert(*token, *amount);
        }
        let leaf = |(earner, tokens): (&Address, &BTreeMap<Address, U256>)| {
            let token =
                |(token, amount): (&Address, &U256)| keccak256([vec![1], token.to_vec(), word(*amount)].concat());
            let root = filled(tokens.iter().map(token).collect(), pair);
            keccak256([vec![0], earner.to_vec(), root.to_vec()].concat())
        };
        filled(earners.iter().map(leaf).collect(), pair)
    }

    pub(super) fn rocket(list: &[(Address, Vec<U256>)]) -> B256 {
        let leaf = |(node, words): &(Address, Vec<U256>)| {
            keccak256([node.to_vec(), words.iter().flat_map(|one| word(*one)).collect()].concat())
        };
        let mut leaves: Vec<B256> = list.iter().map(leaf).collect();
        leaves.sort_unstable();
        filled(leaves, sorted_pair)
    }
}

/// Amounts of every size, up to 2^256 − 1.
struct Draw(B256);

impl Draw {
    fn word(&mut self) -> U256 {
        self.0 = keccak256(self.0);
        U256::from_be_bytes(self.0.0)
    }
    fn amount(&mut self) -> U256 {
        let shift = usize::try_from(self.word() % U256::from(300)).unwrap();
        if shift >= 256 { U256::MAX } else { self.word() >> shift }
    }
    fn address(&mut self) -> Address {
        Address::from_slice(&self.word().to_be_bytes::<32>()[12..])
    }
}

#[test]
fn every_format_has_the_root_of_a_second_way_to_write_it() {
    let mut draw = Draw(keccak256("lists"));
    for count in (1..=40).chain([127, 128, 129, 1000]) {
        let tokens: Vec<Address> = (0..3).map(|_| draw.address()).collect();
        let accounts: Vec<Address> = (0..count).map(|_| draw.address()).collect();
        let mut pairs = Vec::new();
        for (number, account) in accounts.iter().enumerate() {
            let some = tokens.iter().take(number % 3 + 1);
            pairs.extend(some.map(|token| (*account, *token, draw.amount())));
        }
        let text: String =
            pairs.iter().map(|(account, token, amount)| format!("{token:#x},{amount},{account:#x}\n")).collect();
        let text = format!("token,amount,account\n{text}");
        assert_eq!(read(Kind::OpenZeppelin, &text).root(), obvious::open_zeppelin(&pairs), "{count}");
        assert_eq!(read(Kind::Merkl, &text).root(), obvious::merkl(&pairs), "{count}");
        assert_eq!(read(Kind::Eigen, &text).root(), obvious::eigen(&pairs), "{count}");

        let shares: Vec<(Address, U256)> = accounts.iter().map(|account| (*account, draw.amount())).collect();
        let text: String = shares.iter().map(|(account, amount)| format!("{account},{amount}\n")).collect();
        let drop = read(Kind::CumulativeDrop, &format!("account,cumulative\n{text}"));
        assert_eq!(drop.root(), obvious::cumulative_drop(&shares), "{count}");

        let indexed: Vec<(U256, Address, U256)> =
            shares.iter().map(|(one, amount)| (draw.word(), *one, *amount)).collect();
        let text: String = indexed.iter().map(|(index, one, amount)| format!("{one},{index},{amount}\n")).collect();
        assert_eq!(
            read(Kind::Uniswap, &format!("account,index,amount\n{text}")).root(),
            obvious::uniswap(&indexed),
            "{count}"
        );

        for words in [3, 4] {
            let nodes: Vec<(Address, Vec<U256>)> =
                accounts.iter().map(|one| (*one, (0..words).map(|_| draw.amount()).collect())).collect();
            let row = |(node, words): &(Address, Vec<U256>)| {
                format!("{node},{}\n", words.iter().map(U256::to_string).collect::<Vec<_>>().join(","))
            };
            let header = if words == 3 { "account,network,rpl,eth" } else { "account,network,rpl,eth,voter" };
            let text: String = nodes.iter().map(row).collect();
            assert_eq!(
                read(Kind::Rocket, &format!("{header}\n{text}")).root(),
                obvious::rocket(&nodes),
                "{count} {words}"
            );
        }
    }
}

/// A list of `count` accounts, two tokens each where the format has tokens.
fn some(kind: Kind, count: usize) -> String {
    let mut draw = Draw(keccak256("some"));
    let mut text = String::new();
    for index in 0..count {
        let (account, amount) = (draw.address(), draw.amount());
        text += &match kind {
            Kind::OpenZeppelin | Kind::Merkl | Kind::Eigen => {
                format!("{account},{},{amount}\n{account},{},7\n", draw.address(), draw.address())
            }
            Kind::CumulativeDrop => format!("{account},{amount}\n"),
            Kind::Uniswap => format!("{index},{account},{amount}\n"),
            Kind::Rocket => format!("{account},{index},{amount},{},3\n", draw.amount()),
        };
    }
    text
}

fn shapes(kind: Kind) -> Vec<Shape> {
    match kind {
        Kind::OpenZeppelin => vec![Shape::of::<OpenZeppelin>()],
        Kind::CumulativeDrop | Kind::Merkl | Kind::Uniswap => vec![Shape::of::<Merkl>()],
        Kind::Eigen => vec![Shape::of::<EigenToken>(), Shape::of::<EigenEarner>()],
        Kind::Rocket => vec![Shape::of::<Rocket>()],
    }
}

#[test]
fn every_entry_of_every_size_proves_itself_from_memory_and_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for (kind, header) in KINDS {
        for count in 1..=33 {
            let text = some(kind, count);
            let claims = read(kind, &format!("{header}\n{text}"));
            let file = folder.path().join("nodes");
            let mut bytes = Vec::new();
            claims.nodes().write(&mut bytes).unwrap();
            std::fs::write(&file, bytes).unwrap();
            let leaves = u64::try_from(claims.nodes().leaf_count()).unwrap();
            let upper = *shapes(kind).last().unwrap();
            let mut proved = 0;
            let column = header.split(',').position(|name| name == "account").unwrap();
            let mut accounts: Vec<Address> =
                text.lines().map(|row| row.split(',').nth(column).unwrap().parse().unwrap()).collect();
            accounts.dedup();
            for account in accounts {
                for claim in claims.claims(account, None) {
                    assert_eq!(claim.branches.len(), shapes(kind).len());
                    for (branch, shape) in claim.branches.iter().zip(shapes(kind)) {
                        assert!(branch.holds(shape), "{kind:?} {count}: {branch:?}");
                        let mut other = branch.clone();
                        other.leaf = keccak256(other.leaf);
                        assert!(!other.holds(shape));
                    }
                    let last = claim.branches.last().unwrap();
                    assert_eq!(last.root, claims.root());
                    assert_eq!(siblings(upper, &file, last.index, leaves).unwrap(), last.siblings, "{kind:?} {count}");
                    proved += 1;
                }
            }
            assert_eq!(proved, claims.entry_count());
            assert_eq!(claims.leaves().len(), claims.nodes().leaf_count());
            for (place, (leaf, _)) in claims.leaves().iter().enumerate() {
                assert_eq!(claims.nodes().leaf(place), Some(*leaf), "{kind:?}");
            }
            assert!(claims.claims(Address::repeat_byte(9), None).is_empty());
            for (index, count) in [(leaves, leaves), (0, 2 * leaves + 1), (0, u64::MAX), (0, 0)] {
                assert!(siblings(upper, &file, index, count).is_err(), "{kind:?}: {index} of {count}");
            }
        }
    }
}

/// The accounts, amounts and proofs that the tests of `Uniswap/merkle-distributor` expect of its own script.
#[test]
fn uniswaps_own_numbers_come_out() {
    let first = address!("17ec8597ff92C3F44523bDc65BF0f1bE632917ff");
    let second = address!("63FC2aD3d021a4D7e64323529a55a9442C444dA0");
    let third = address!("D1D84F0e28D6fedF03c73151f98dF95139700aa7");
    let text = format!("account,amount\n{third},250\n{first},200\n{second},300\n");
    let claims = read(Kind::Uniswap, &text);
    let upper = b256!("d31de46890d4a77baeebddbd77bf73b5c626397b73ee8c69b51efe4c9a5a72fa");
    for (account, index, siblings) in [
        (first, "0", vec![b256!("2a411ed78501edb696adca9e41e78d8256b61cfac45612fa0434d7cf87d916c6")]),
        (second, "1", vec![b256!("bfeb956a3b705056020a3b64c540bff700c0f6c96c55c0a5fcab57124cb36f7b"), upper]),
        (third, "2", vec![b256!("ceaacce7533111e902cc548e961d77b23a4d8cd073c6b68ccf55c62bd47fc36b"), upper]),
    ] {
        let claim = claims.claims(account, None).remove(0);
        assert_eq!(claim.says[0], ("index", index.to_owned()));
        assert_eq!(claim.branches[0].siblings, siblings, "{account}");
        assert!(claim.branches[0].holds(Shape::of::<Uniswap>()));
    }
}

/// `processClaimProofs_Root1.json` of the tests of `Layr-Labs/eigenlayer-contracts`: an earner's six tokens, their root,
/// and the earner's way to the root of all.
#[test]
fn eigenlayers_own_numbers_come_out() {
    let earner = address!("f2288d736d27c1584ebf7be5f52f9e4d47251aee");
    let text = format!(
        "account,token,amount\n\
         {earner:#x},0x1006dd1b8c3d0ef53489bed27577c75299f71473,1000000000000000000\n\
         {earner:#x},0x11a4b85eab283c98d27c8ae64469224d55ed1894,400000000000000000\n\
         {earner:#x},0x43afffbe0afacdabe9ce7dbc4f07407a2b788a84,30000000000000000000\n\
         {earner:#x},0x748a3ed7e6b04239150d7ebe12d7aef3e3994a23,250000000000\n\
         {earner:#x},0xd275b23e0a5b68ae251b0dc4c81104cba36e7cd6,884300000000000000\n\
         {earner:#x},0xec562acb9e470de27dca2495950660fa9fbd85f8,42000000000000\n"
    );
    let claims = read(Kind::Eigen, &text);
    let claim = claims.claims(earner, Some(address!("11a4b85eab283c98d27c8ae64469224d55ed1894"))).remove(0);
    let [token, upper] = claim.branches.as_slice() else { unreachable!("two levels") };
    assert_eq!(token.root, b256!("a81e82a39e6da197c3c83b8b1343eb7e8a969db52d4bfc424fd04d60350d76e3"));
    assert_eq!(token.index, 1);
    let published = [
        b256!("167f18d55815451f979244946b7eb2ce019c323a9e02fba1b2e05e19a27b91b5"),
        b256!("e3e64bd80597510ac0b737fc645f15801cc3835b279412e1a09ba66d50c2aa82"),
        b256!("e3f64b05b0f9ee23e853d9c134984c27b5b58d14b70c4dacea9a5e40600e17a3"),
    ];
    assert_eq!(token.siblings, published);
    let way = [
        b256!("04da796e892869089dfdaae7269c8eb12548f6aa3774a747322b65c42d1ca005"),
        b256!("0d38d6d5e7e9e65ba24c275fcc0f0c377d8fb6ed089770d849c39a1829d1edf2"),
        b256!("7e78a529aa8f867a3777f97541a23fb1844d6ae24c3b8ca1cc981510e5d08bda"),
    ];
    let root = Shape::of::<EigenEarner>().climb(upper.leaf, 3, &way);
    assert_eq!(root, b256!("c5d6bb1073f9040366851b5971493165893558f1cdc0b0046b6703baa85cddfc"));
}

/// A claim of the mainnet's: two tokens, the root over them, and each leaf the other's proof.
#[test]
fn a_claim_of_eigenlayers_mainnet_comes_out() {
    let earner = address!("3f4eaceb930b0edfa78a1dfcbae5c5494e6e9850");
    let text = format!(
        "token,account,amount\n\
         0xec53bf9167f50cdeb3ae105f56099aaab9061f83,{earner},50364936135183671571768\n\
         0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2,{earner},65955484345064147\n"
    );
    let claims = read(Kind::Eigen, &text).claims(earner, None);
    let [weth, eigen] = claims.as_slice() else { unreachable!("two tokens") };
    assert_eq!(weth.branches[0].root, b256!("00eb6975209027b214b072ab0530b93e2e4862699f13e14f894866a823c7ca21"));
    assert_eq!(weth.branches[0].siblings, [b256!("b2410f3c21b9e234365c9664cc2463407134c3cb6a76ef75c99b8629a572f8dd")]);
    assert_eq!(eigen.branches[0].siblings, [b256!("8129fc4f1b38cc97d14981cd4ebb3d261f4290b8c42af00ac2c7e69228a8db26")]);
}

const A: &str = "0x1111111111111111111111111111111111111111";
const B: &str = "0x2222222222222222222222222222222222222222";

#[test]
fn a_list_that_could_mean_two_things_is_refused_with_its_row() {
    let amount = |text: &str| format!("account,token,amount\n{B},{A},1\n{A},{B},{text}\n");
    let above = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    for (text, words) in [
        (String::new(), "the file is empty"),
        ("account,token,amount\n".to_owned(), "no rows"),
        ("\n\n".to_owned(), "the file is empty"),
        (format!("account,amount\n{A},1\n"), "no column \"token\": its columns are account, amount"),
        (format!("account,token\n{A},{B}\n"), "no column \"amount\""),
        (format!("account,token,amount,account\n{A},{B},1,{A}\n"), "\"account\" is there twice"),
        (format!("account,token,amount,cumulative\n{A},{B},1,1\n"), "both amount and cumulative"),
        (format!("account,token,amount\n{A},{B},1\n{A},{B},2\n"), "twice for token"),
        (format!("account,token,amount\n0x{},{B},1\n", "0".repeat(40)), "row 1: account is the zero address"),
        (format!("account,token,amount\n{A},{B}\n"), "expected 3"),
        (format!("account,token,amount\n{A},{B},1,1\n"), "expected 3"),
        (format!("account,token,amount\n{},{B},1\n", &A[2..]), "expected 0x and 40 hex digits"),
        (format!("account,token,amount\n{A}1,{B},1\n"), "expected 0x and 40 hex digits"),
        (format!("account,token,amount\n0x{},{B},1\n", "g".repeat(40)), "expected 0x and 40 hex digits"),
        (
            "account,token,amount\n0x17Ec8597ff92C3F44523bDc65BF0f1bE632917ff,0x,1\n".to_owned(),
            "with its checksum it would be 0x17ec8597ff92C3F44523bDc65BF0f1bE632917ff",
        ),
        (amount(above), "row 2: amount is 2^256 or more"),
        (amount(&"9".repeat(100_000)), "row 2: amount is 2^256 or more"),
        (amount(""), "row 2: amount is empty"),
        (amount("1e18"), "expected a whole number in decimal digits"),
        (amount("1_000"), "expected a whole number in decimal digits"),
        (amount("-1"), "expected a whole number in decimal digits"),
        (amount("1.0"), "expected a whole number in decimal digits"),
        (amount(" 1"), "expected a whole number in decimal digits"),
        (amount("0x10"), "expected a whole number in decimal digits"),
        (amount("١"), "expected a whole number in decimal digits"),
    ] {
        for kind in [Kind::OpenZeppelin, Kind::Merkl, Kind::Eigen] {
            let said = refused(kind, &text, None);
            assert!(said.contains(words), "{kind:?} {:?}: {said:.300}", text.get(..200).unwrap_or(&text));
        }
    }
    assert!(refused(Kind::OpenZeppelin, [b'a', 0xff, b'\n', 0xff], None).contains("list.csv"));
    let greatest = U256::MAX.to_string();
    assert_eq!(
        read(Kind::Merkl, &amount(&format!("000{greatest}"))).claims(A.parse().unwrap(), None)[0].says[2].1,
        greatest
    );
}

#[test]
fn formats_without_tokens_take_one() {
    let token: Address = B.parse().unwrap();
    let both = format!("account,amount,token\n{A},1,{A}\n{B},2,{B}\n");
    let one = format!("account,amount\n{B},2\n");
    for kind in [Kind::CumulativeDrop, Kind::Uniswap] {
        assert!(refused(kind, &both, None).contains("a tree for each token"));
        assert!(refused(kind, &one, Some(token)).contains("no column \"token\""));
        assert!(refused(kind, &both, Some(Address::repeat_byte(3))).contains("no row for the token"));
        assert!(refused(kind, format!("account,amount\n{B},2\n{B},3\n"), None).contains("there twice"));
        let folder = tempfile::tempdir().unwrap();
        let chosen = Claims::read(kind, &list(&folder, &both), Some(token)).unwrap();
        assert_eq!(chosen.root(), read(kind, &one).root(), "{kind:?}");
    }
    let twice = format!("index,account,amount\n4,{A},1\n4,{B},1\n");
    assert!(refused(Kind::Uniswap, twice, None).contains("index 4 is there twice"));
    assert!(refused(Kind::Rocket, format!("account,network,rpl,eth\n{A},0,1,1\n{A},1,1,1\n"), None).contains("twice"));
}

#[test]
fn a_spreadsheets_file_is_read_as_any_other() {
    let plain = read(Kind::Merkl, &format!("account,token,amount\n{A},{B},1\n"));
    let other =
        read(Kind::Merkl, &format!("\u{feff}\"token\", amount ,account,note\r\n\"{B}\",\"1\",{A},\"x, y\"\r\n"));
    assert_eq!(plain.root(), other.root());
}

#[test]
fn leaves_are_as_the_traits_say() {
    let list = read(Kind::OpenZeppelin, &format!("account,token,amount\n{A},{B},5\n"));
    let entry = crate::tree::format::Entitlement {
        account: A.parse().unwrap(),
        token: B.parse().unwrap(),
        amount: U256::from(5),
    };
    assert_eq!(list.root(), OpenZeppelin::leaf(&entry), "one leaf is the root");
    assert_eq!(list.root(), keccak256(Merkl::leaf(&entry)), "one hash more than Merkl's");
    assert_eq!(crate::tree::Leaf::new(entry.account, entry.token, 5).hash, list.root());
}
