/**
 * Law 11: the words of a refusal are heard before the connection closes.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Handshake from "../../../Handshake.ts"
import { isHandshakeError } from "../../../HandshakeError.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import {
  type Candidate,
  candidateComes,
  candidatesOf,
  impostorComes,
  impostorsOf,
  nth,
  replaced,
  seedOf
} from "./cases.ts"
import { deservesRefusal, saysRefusal } from "./refusing.ts"

/** How often an impostor comes that talks on. */
const networks = 4

/** Whether it has turned its peer away by words that say nothing. Who has no words at all does not fail so. */
const isSilent = ({ exit, written }: Talk): boolean => {
  const error = exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return written.length === 0 && isHandshakeError(error) && error.reason._tag === "Rejected" &&
    error.reason.by === "local"
}

/** Whether its peer has said no: what the side has said before that was no refusal. */
const wasRefused = ({ exit }: Talk): boolean => {
  const error = exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return isHandshakeError(error) && error.reason._tag === "Rejected" && error.reason.by === "peer"
}

export const refusalIsHeard: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { messages } = reference
    const { role } = trial.side
    // More than a system takes in without being asked.
    const more = new Uint8Array(trial.isVirtual ? 40_000 : 2_000_000).fill(0x7a)
    const garbage = Uint8Array.of(0xff, 0xfe, 0x0a, 0xff, 0x0a)
    const candidates = candidatesOf(trial, reference, options)
    const cases = [
      ...candidates,
      ...messages.map((_, index): Candidate => ({
        index,
        said: garbage,
        what: Trial.show(garbage),
        number: candidates.length + index
      }))
    ]
    const overtakes = role === "server" && trial.isVirtual && trial.rung.lag > 1
    const hears = (talk: Talk, from: number, scenario: string) => {
      const spoken = talk.written.slice(from)
      const said = concat(talk.written)
      if (!Trial.isReady(talk) && spoken.length > 0 && Trial.firstDifference(said, talk.heard) !== -1) {
        return Effect.fail(problem(attempt, talk, {
          scenario,
          expected: `the peer hears all that was said, ${
            Trial.show(concat(spoken))
          } at the end, before the connection closes`,
          actual: `it heard ${Trial.show(talk.heard)}, ${talk.heard.length} of ${said.length} bytes`
        }))
      }
      return Effect.void
    }
    const isSaid = (plan: Plan, talk: Talk, index: number, said: Uint8Array, scenario: string) =>
      saysRefusal(attempt, plan, talk, { side: role, index, said, due: messages[index], messages }, scenario)
    const late = trial.isVirtual ? 300 : 30
    // How it comes and who listens: as it is on every rung, and of the other ways each rung takes the next one.
    yield* attempt.each(cases, (candidate) =>
      Effect.gen(function*() {
        const { index, number, said, what } = candidate
        const place = `${what} comes in the place of ${nth(index)}`
        const behind = `with ${more.length} bytes behind it that nobody reads`
        const otherWays: ReadonlyArray<readonly [said: Uint8Array, deaf: number | undefined, scenario: string]> = [
          [said, late, `${place}, and the peer listens only after ${late} ms`],
          [concat([said, more]), undefined, `${place}, ${behind}`],
          [concat([said, more]), late, `${place}, ${behind}, and the peer listens only after ${late} ms`]
        ]
        // What begins with what is due is taken for that, and the rest of it is refused at another place.
        const due = messages[index]
        let isWhole = Trial.firstDifference(said.subarray(0, due.length), due) !== -1
        const other = otherWays[(number + attempt.turn) % 3]
        const otherPlan = { ...replaced(index, other[0]), deaf: other[1], seed: seedOf(trial, number) }
        const asItIs = Effect.map(candidateComes(trial, candidate), ({ talk }) => talk)
        const plan = { ...replaced(index, said), seed: seedOf(trial, number) }
        const ways = [[asItIs, plan, place], [trial.talk(otherPlan), otherPlan, other[2]]] as const
        for (const [comes, plan, scenario] of ways) {
          const talk = yield* comes
          // What is let in is refused nowhere, whatever comes behind it.
          if (Trial.isReady(talk)) return
          // Where it has waited for the rest of what was said, that would be what comes behind it.
          const isRefused = deservesRefusal(talk)
          isWhole &&= isRefused
          const before = talk.writesBefore[index] ?? talk.written.length
          yield* hears(talk, before, scenario)
          // What was answered, and what its peer did not like, was no refusal; what comes behind it is another matter.
          if ((!isRefused || wasRefused(talk)) && talk.written.length > before) return
          if (isWhole) yield* isSaid(plan, talk, index, said, scenario)
        }
      }), { placeOf: ({ number }) => number })
    yield* attempt.each(impostorsOf(trial, options), (impostor) =>
      Effect.flatMap(impostorComes(trial, impostor), ({ talk }) => {
        const { peer, what } = impostor
        const last = talk.said.length - 1
        if (Trial.isReady(talk) || last === -1 || last >= messages.length) {
          return Effect.void
        }
        const said = (index: number) =>
          isSaid({ peer }, talk, index, talk.said[index], `${what} comes`)
        // It may have talked on behind what is wrong.
        const isSaidEarlier = talk.said.slice(0, last).map((_, index) => said(index))
        return Effect.andThen(
          hears(talk, talk.writesBefore[last] ?? talk.written.length, `${what} comes`),
          Effect.catch(
            said(last),
            (problem) => Effect.mapError(Effect.firstSuccessOf([...isSaidEarlier, Effect.fail(problem)]), () => problem)
          )
        ).pipe(Effect.andThen(
          // Whether a reset overtakes the words is left to chance, so that it is tried on some networks. Who has only left has
          // not been refused, and what he says behind that is another matter.
          Effect.forEach(
            Array.from({ length: overtakes && deservesRefusal(talk) ? networks : 0 }, (_, seed) => seed),
            (seed) => {
              const say = (i: number, message: Uint8Array) => i === last ? concat([message, more]) : message
              return Effect.flatMap(trial.talk({ peer, seed, say, deaf: seed % 2 === 0 ? undefined : late }), (talk) =>
                hears(
                  talk,
                  talk.writesBefore[last] ?? talk.written.length,
                  `${what} comes, with ${more.length} bytes behind its last message that nobody reads`
                ))
            },
            { discard: true }
          )
        ))
      }), {
      placeOf: ({ number }) =>
        number
    })
    if (trial.side.role !== "server" || options.client === undefined) {
      return
    }
    const turnedAway = Trial.make(
      trial.rung,
      { role: "server", handshake: Handshake.turnAway(trial.side.handshake, "capacity") },
      options.client,
      options
    )
    const scenario = "the server is at capacity and turns a client away, which talks on"
    const talksOn = (index: number, message: Uint8Array) =>
      index === 0 ? concat([message, more]) : message
    yield* Effect.forEach([undefined, trial.isVirtual ? 300 : 30], (deaf) =>
      Effect.flatMap(turnedAway.talk({ deaf, say: talksOn }), (talk) =>
        Effect.andThen(
          isSilent(talk)
            ? Effect.fail(problem(attempt, talk, {
              scenario,
              expected: "the peer hears the words that `Handshake.withRefusal` gives",
              actual: "it heard nothing: they fail before they have said anything"
            }))
            : hears(talk, 0, scenario),
          talk.peerExit !== undefined && Exit.isSuccess(talk.peerExit) && options.lateRefusal !== true
            ? Effect.fail(problem(attempt, talk, {
              scenario,
              expected: "the client's handshake fails; or `lateRefusal` says that it is told behind it",
              actual: "the client became ready"
            }))
            : Effect.void
        )))
  })
