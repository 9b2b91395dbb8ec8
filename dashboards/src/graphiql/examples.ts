// What the editor opens with.

export const EARNED = `# Who earned most, and for what. Run it with the button, or Ctrl and Enter.
query Earned {
  accounts(first: 5, orderBy: EARNED) {
    edges {
      node {
        address
        earnings(groupBy: ROLE) {
          key
          amount { formatted symbol }
        }
      }
    }
  }
  status {
    settledEpoch
    sealed { number hash }
  }
}
`;

export const BLOCKS = `# Blocks as they are verified, and what a reorg takes back: over a WebSocket, until it is stopped.
subscription Blocks {
  blocks {
    __typename
    sequence
    ... on BlockAdded { number hash }
    ... on Retracted { from to }
  }
}
`;
