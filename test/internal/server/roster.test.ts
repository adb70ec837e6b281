import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { type Member, Roster } from "../../../src/internal/server/roster.ts"

it.prop("holds who has come and has not gone, like a Set, and each of them once", [
  // Enough of them that somebody in the middle goes, and then the one who took that place.
  Schema.Array(Schema.Struct({ who: Schema.Literals([0, 1, 2, 3, 4, 5, 6]), comes: Schema.Boolean })).check(
    Schema.isMinLength(30)
  )
], ([moves]) => {
  const people = Array.from({ length: 7 }, (): Member => ({ place: -1 }))
  const roster = new Roster<Member>()
  const set = new Set<Member>()
  for (const { comes, who } of moves) {
    if (comes) {
      roster.add(people[who])
      set.add(people[who])
    } else {
      roster.delete(people[who])
      set.delete(people[who])
    }
    expect(roster.size).toBe(set.size)
    expect(new Set(roster)).toEqual(set)
    for (const person of people) expect(person.place >= 0).toBe(set.has(person))
  }
})

it("who goes while all are gone through is still gone through, and who comes is not", () => {
  const [a, b, c] = Array.from({ length: 3 }, (): Member => ({ place: -1 }))
  const roster = new Roster<Member>()
  roster.add(a)
  roster.add(b)
  const seen: Array<Member> = []
  for (const member of roster) {
    seen.push(member)
    roster.delete(b)
    roster.add(c)
  }
  expect(seen).toEqual([a, b])
  expect([...roster]).toEqual([a, c])
})
