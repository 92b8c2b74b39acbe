//! Strongly connected components of a graph.

/// The strongly connected components of the graph whose nodes are `0..edges.len()`, each after all that it reaches: two
/// nodes are in one if each reaches the other (Tarjan, 1972). In a time that is linear in nodes and edges, and without
/// recursion.
pub(crate) fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let mut order = vec![UNSEEN; edges.len()];
    // The earliest node still on the stack that each reaches, by its order; none once its component is known.
    let mut lowest = vec![UNSEEN; edges.len()];
    let mut on_stack = vec![false; edges.len()];
    let (mut stack, mut found, mut count) = (Vec::new(), Vec::new(), 0);
    for root in 0..edges.len() {
        if order[root] != UNSEEN {
            continue;
        }
        // The path from the root, with the next edge to follow of each node.
        let mut path = vec![(root, 0)];
        while let Some((node, edge)) = path.last_mut() {
            let node = *node;
            if *edge == 0 {
                (order[node], lowest[node], on_stack[node]) = (count, count, true);
                stack.push(node);
                count += 1;
            }
            if let Some(&next) = edges[node].get(*edge) {
                *edge += 1;
                if order[next] == UNSEEN {
                    path.push((next, 0));
                } else if on_stack[next] {
                    lowest[node] = lowest[node].min(order[next]);
                }
                continue;
            }
            path.pop();
            if let Some(&(before, _)) = path.last() {
                lowest[before] = lowest[before].min(lowest[node]);
            }
            if lowest[node] == order[node] {
                let start = stack.iter().rposition(|&other| other == node).expect("it is on the stack");
                let component = stack.split_off(start);
                component.iter().for_each(|&member| on_stack[member] = false);
                found.push(component);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_those_of_mutual_reachability_and_come_after_what_they_reach() {
        let mut seed = 1u64;
        let mut random = |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for n in 1..40 {
            let edges: Vec<Vec<usize>> =
                (0..n).map(|_| (0..random(4)).map(|_| random(n)).collect()).collect();
            let mut reach = vec![vec![false; n]; n];
            for (from, reached) in reach.iter_mut().enumerate() {
                let mut pending = vec![from];
                while let Some(node) = pending.pop() {
                    if !std::mem::replace(&mut reached[node], true) {
                        pending.extend(&edges[node]);
                    }
                }
            }
            let found = components(&edges);
            let mut place = vec![usize::MAX; n];
            for (i, component) in found.iter().enumerate() {
                component.iter().for_each(|&node| place[node] = i);
            }
            assert_eq!(found.iter().map(Vec::len).sum::<usize>(), n);
            for a in 0..n {
                for b in 0..n {
                    assert_eq!(place[a] == place[b], reach[a][b] && reach[b][a], "{a} and {b} of {edges:?}");
                    assert!(!reach[a][b] || place[b] <= place[a], "{b} before {a} of {edges:?}");
                }
            }
        }
        // A path of a length at which recursion would overflow the stack.
        let long: Vec<Vec<usize>> = (0..1_000_000).map(|i| vec![(i + 1) % 1_000_000]).collect();
        assert_eq!(components(&long).len(), 1);
    }
}
