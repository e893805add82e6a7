/** The groups of the examples, in the order of the walk. The first digit of an example's file name tells its group. */
export const GROUPS = ['Accounts', 'Movements', 'Holds', 'Batches', 'Books and history', 'Live']

/** Groups the texts of examples by their file names: `[{ name, examples: [{ name, query }] }]`, all in order. */
export function grouped(files) {
  const examples = Object.keys(files)
    .sort()
    .map((file) => ({ group: groupOf(file), name: operationName(files[file]), query: files[file] }))
  return GROUPS.map((name) => ({ name, examples: examples.filter(({ group }) => group === name) }))
}

function groupOf(file) {
  const digit = /(\d)\d-[^/]+$/.exec(file)[1]
  return GROUPS[digit - 1]
}

function operationName(query) {
  return /^(?:query|mutation|subscription) +(\w+)/m.exec(query)[1]
}
