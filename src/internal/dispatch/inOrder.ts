/**
 * What waits for its turn in the order in which it has come. Each entry keeps the one behind it: no array grows and moves.
 *
 * @internal
 */
export class InOrder<Entry extends { next: Entry | undefined }> {
  size = 0
  first: Entry | undefined = undefined
  last: Entry | undefined = undefined

  add(entry: Entry): void {
    if (this.last === undefined) this.first = entry
    else this.last.next = entry
    this.last = entry
    this.size++
  }

  /** Takes the first one away. */
  shift(): void {
    const { first } = this
    if (first === undefined) return
    this.first = first.next
    // One that has grown old would keep all that come behind it until a full collection.
    first.next = undefined
    if (this.first === undefined) this.last = undefined
    this.size--
  }

  clear(): void {
    this.first = this.last = undefined
    this.size = 0
  }

  *[Symbol.iterator](): Iterator<Entry> {
    let entry = this.first
    while (entry !== undefined) {
      const { next } = entry
      yield entry
      entry = next
    }
  }
}
