/**
 * What is counted, what is a hole and what is none, and how that is shown.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Alterations from "../../src/testing/internal/alterations.ts"
import * as Coverage from "../../src/testing/internal/coverage.ts"

const heard: Coverage.Heard = {
  steps: ["connect", "hello", "send", "proof"],
  waiting: ["hello", "proof"],
  heardIn: ["hello", "proof"],
  messages: [new Uint8Array(3), new Uint8Array(8)]
}

const faultsOf = (side: string, step: string) => {
  const tally = new Coverage.Tally()
  tally.of(side, heard)
  return Object.keys(tally.report().steps.find((row) => row.step === step)!.crossed)
}

describe("a fault", () => {
  it("is none of a step that only sends", () => expect(faultsOf("server", "send")).toEqual([]))

  it("of a client that dials is that nobody answers, or that it is interrupted", () => {
    expect(faultsOf("client", "connect")).toEqual(["cut", "silence", "interruption"])
    expect(faultsOf("server", "connect")).toEqual([])
  })

  it("of a first message is not that something comes too early, and of one of a few bytes not that it dribbles", () => {
    expect(new Set(faultsOf("server", "proof"))).toEqual(new Set(Coverage.faults))
    const others = Coverage.faults.filter((fault) => fault !== "early bytes" && fault !== "dribble")
    expect(new Set(faultsOf("server", "hello"))).toEqual(new Set(others))
  })

  it("meets the step that hears what comes, and the one where that ends", () => {
    const tally = new Coverage.Tally()
    tally.of("server", heard).heard(0, "proof", "garbage")
    expect(tally.report().steps.map(({ crossed }) => crossed.garbage)).toEqual([undefined, 1, undefined, 1])
  })
})

describe("a change", () => {
  const tried = (
    frame: unknown,
    isSaid: (alteration: Alterations.Altered) => boolean | undefined,
    alterations: ReadonlyArray<Alterations.Altered> = Alterations.ofFrame(frame)
  ) => {
    const tally = new Coverage.Tally()
    const counter = tally.of("server", heard)
    counter.changes(1, alterations)
    for (const alteration of alterations) {
      const said = isSaid(alteration)
      if (said !== undefined) counter.changed(1, alteration, said)
    }
    const report = tally.report()
    return {
      holes: Coverage.holes(report).filter(({ _tag }) => _tag !== "Fault"),
      row: Coverage.format({ steps: [], messages: report.messages }).split("\n")[1]
    }
  }
  const message = { side: "server", step: "proof", message: 2 }

  it("that was made of each field and each place leaves no hole", () => {
    const { holes, row } = tried({ user: "ann", version: 3 }, () => true)
    expect(holes).toEqual([])
    expect(row).toMatch(/^server: proof +3 +\d/)
    expect(row).not.toMatch(/never|·/)
  })

  it("that was not made of a place leaves a hole there, by field", () => {
    const { holes, row } = tried(
      { user: "annabel", version: 3 },
      ({ at }) => [1, 2, 5].includes(at!) ? undefined : true
    )
    expect(holes).toEqual([{ ...message, _tag: "Places", field: "user", places: [1, 2, 5] }])
    expect(row).toMatch(/^server: proof +4\/7 .*never: user 1-2, 5$/)
  })

  it("that was never made in one way leaves a hole, in the field where it was not", () => {
    const { holes, row } = tried(
      { user: "annabel", version: 3 },
      ({ field, kind }) => kind === "next" && field.name === "version" ? undefined : true
    )
    expect(holes).toEqual([{ ...message, _tag: "Change", field: "version", change: "next" }])
    expect(row).toMatch(/never: version next$/)
  })

  it("that cannot be said leaves none", () => {
    const { holes, row } = tried(Uint8Array.of(1, 2, 3), ({ kind }) => kind !== "longer" && kind !== "shorter")
    expect(holes).toEqual([])
    expect(row).not.toMatch(/·/)
  })

  it("that was never made leaves a hole, whatever else could not be said in its place", () => {
    const ofKind = ({ kind, what }: Alterations.Altered) => kind === "longer" && what === "an x behind it"
    const { holes } = tried(
      Uint8Array.of(1, 2, 3),
      (alteration) => ofKind(alteration) ? undefined : alteration.kind !== "longer"
    )
    expect(holes).toEqual([{ ...message, _tag: "Change", field: "", change: "longer" }])
  })

  it("of a whole message, which no field of it can say, leaves a hole until it was made", () => {
    const frame = { zone: 7 }
    const framing = Alterations.ofFraming(Uint8Array.of(2, 4, 7))
    const all = [...Alterations.ofFrame(frame), ...framing]
    const isX = ({ what }: Alterations.Altered) => what === "with a member x besides"
    const left = tried(
      frame,
      (alteration) => framing.some((other) => other === alteration) ? undefined : !isX(alteration),
      all
    )
    expect(left.holes).toEqual(
      ["shorter", "longer"].map((change) => ({ ...message, _tag: "Change", field: "bytes", change }))
    )
    expect(left.row).toMatch(/never: bytes shorter, longer$/)
    expect(tried(frame, (alteration) => !isX(alteration), all).holes).toEqual([])
  })

  it("of digits is not one of their case", () => {
    expect(tried("123", () => true).holes).toEqual([])
    expect(tried("123", () => undefined).holes.map((hole) => hole._tag === "Change" ? hole.change : "places"))
      .toEqual(["places", "flipped", "next", "previous", "0", "255", "shorter", "longer", "other"])
  })
})

it("nothing is shown where nothing was tried", () => expect(Coverage.format({ steps: [], messages: [] })).toBe(""))
