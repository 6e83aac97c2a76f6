//! Layers of real compressors: after splicing, real readers find exactly what was kept.

use std::io::Write;
use std::process::{Command, Stdio};

use pydock::layer::codec::{Old, Reuse, Splicer};

use crate::splice::{inflate, map, noise, words};

/// Python's own zlib, which has all strategies.
const ZLIB: &str = "import sys, zlib
level, strategy, memory = map(int, sys.argv[1:])
maker = zlib.compressobj(level, zlib.DEFLATED, 31, memory, strategy)
sys.stdout.buffer.write(maker.compress(sys.stdin.buffer.read()) + maker.flush())";

fn pipe(command: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; scripts/setup.sh installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// Commands that compress their input.
fn makers() -> Vec<Vec<String>> {
    let mut makers = Vec::new();
    let mut add = |words: &[&str]| makers.push(words.iter().map(|word| (*word).to_owned()).collect());
    for level in ["-1", "-6", "-9"] {
        add(&["gzip", "-cn", level]);
        add(&["gzip", "-cn", "--rsyncable", level]);
        add(&["pigz", "-c", level]);
        add(&["pigz", "-ci", level]);
        add(&["pigz", "-cR", level]);
    }
    add(&["gzip", "-c"]);
    // Small blocks, Huffman codes alone, runs alone.
    add(&["pigz", "-c", "-b", "32"]);
    add(&["pigz", "-cH"]);
    add(&["pigz", "-cU"]);
    // Zopfli.
    add(&["pigz", "-c", "-11", "-I", "1"]);
    for level in ["-0", "-1", "-2", "-3"] {
        add(&["igzip", "-c", level]);
    }
    for level in ["0", "1", "5", "9"] {
        for strategy in ["0", "1", "2", "3", "4"] {
            for memory in ["1", "8"] {
                add(&["python3", "-c", ZLIB, level, strategy, memory]);
            }
        }
    }
    makers
}

/// Ranges that stay: about `count`, anywhere.
fn ranges(seed: u64, count: usize, length: usize) -> Vec<std::ops::Range<u64>> {
    let numbers = noise(seed, count * 8);
    let at = |bytes: &[u8; 4]| (u64::from(u32::from_le_bytes(*bytes)) * (length as u64 + 1)) >> 32;
    let mut ends = numbers.as_chunks::<4>().0.iter().map(at).collect::<Vec<_>>();
    ends.sort_unstable();
    ends.as_chunks::<2>().0.iter().map(|[start, end]| *start..*end).collect()
}

#[test]
fn what_real_tools_compressed_can_be_spliced_and_read_by_real_tools() {
    let contents = [
        words(1, 400_000),
        noise(2, 200_000),
        [words(3, 200_000), vec![0; 200_000], noise(4, 50_000), words(5, 100_000)].concat(),
        Vec::new(),
        b"x".to_vec(),
    ];
    for maker in makers() {
        let command = maker.iter().map(String::as_str).collect::<Vec<_>>();
        for (number, content) in contents.iter().enumerate() {
            let blob = pipe(&command, content);
            let map = map(&blob, content);
            let shapes =
                [(7, 1), (8, 4), (9, 40)].into_iter().flat_map(|shape| [(shape, Reuse::Copy), (shape, Reuse::Refit)]);
            for ((seed, count), reuse) in shapes {
                let mut old = Old::new(&blob, &map);
                let mut splicer = Splicer::new(None, None, Vec::new()).unwrap();
                let mut expected = Vec::new();
                for range in ranges(seed + number as u64, count, content.len()) {
                    expected.extend_from_slice(&content[range.start as usize..range.end as usize]);
                    splicer.keep(&mut old, range, reuse, &mut |_| {}).unwrap();
                }
                let member = splicer.finish().unwrap();
                let read = inflate(&member, expected.len() + 1);
                assert!(
                    read.iter().all(|read| *read == expected),
                    "{command:?}, content {number}, {count} ranges, {reuse:?}"
                );
                if count == 40 {
                    for reader in [["gzip", "-dc"], ["pigz", "-dc"], ["igzip", "-dc"]] {
                        assert!(
                            pipe(&reader, &member) == expected,
                            "{command:?}, content {number}, read by {reader:?}"
                        );
                    }
                }
            }
        }
    }
}
