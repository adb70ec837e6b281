/**
 * Law 5: what is not due now is refused with an error that names the step.
 *
 * | what comes in the place of a message | is |
 * |---|---|
 * | another message, of either side; the refusal of the other side; what the user knows to be wrong | said as it was recorded |
 * | the message itself, with a change at any place | what is said now, changed: a proof is made afresh each time |
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { maxExcerpt } from "../../../Excerpt.ts"
import { type HandshakeError, isHandshakeError } from "../../../HandshakeError.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import * as Alterations from "../alterations.ts"
import type * as Suite from "../suite.ts"
import type { Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import * as Watch from "../watch.ts"
import { type Attempt, type Check, problem } from "./attempt.ts"
import {
  alternativesOf,
  bytes,
  candidateComes,
  candidatesOf,
  evenly,
  impostorComes,
  impostorsOf,
  ints,
  isLetIn,
  nothing,
  nth,
  replaced
} from "./cases.ts"
import { failureOf, type WrongTurn } from "./options.ts"
import { saysRefusal } from "./refusing.ts"

/** A change of what is said now, in the bytes of a message or in the frame that they are made of. */
interface Change {
  readonly index: number
  readonly what: string
  /** Whether it is a whole frame still. */
  readonly isFrame: boolean
  readonly plan: Plan
  /** As coverage counts it. */
  readonly alteration: Alterations.Altered
  /** What was said, and what was due, where it was changed at all. */
  readonly of: (talk: Talk) => { readonly said: Uint8Array; readonly due: Uint8Array } | undefined
}

/** Whether it has failed for want of something, and not for what has come. */
const isNoAnswer = ({ reason }: HandshakeError): boolean =>
  ["Timeout", "UnexpectedEnd", "ConnectionFailed"].includes(reason._tag)

/** What comes behind the last message is for whoever is served. */
const isDue = (
  { reference }: Attempt,
  index: number,
  { due, said }: { readonly said: Uint8Array; readonly due: Uint8Array }
): boolean => index === reference.messages.length - 1 && Trial.firstDifference(said.subarray(0, due.length), due) === -1

/**
 * Whether it was refused where it came, and all of it was there: the side has taken it and nothing behind it, or a codec has
 * refused a whole frame behind which nothing was said. What TLS takes is not what is said, so that this is not known there.
 */
const isRefusedThere = (
  { needed, talk: known }: Trial.Reference,
  talk: Talk,
  index: number,
  isFrame: boolean
): boolean => {
  const takenBy = ({ receivedIn }: Talk) => receivedIn.at(-1)?.end ?? 0
  if (known.receivedIn.length > 0 && takenBy(known) !== needed) return false
  const upTo = talk.said.slice(0, index + 1).reduce((length, message) => length + message.length, 0)
  return takenBy(talk) === upTo || isFrame && talk.said.length - 1 === index
}

/** Whether all that was changed is space, which who tells the words of a refusal may have trimmed. */
const isSpace = ({ due, said }: Pick<WrongTurn, "due" | "said">): boolean => {
  const rest = (bytes: Uint8Array) => bytes.filter((byte) => ![0x09, 0x0a, 0x0d, 0x20].includes(byte))
  return Trial.firstDifference(rest(said), rest(due)) === -1
}

/** How many changes are tried for each of the runs that a law has, so that a slow handshake can be tried less. */
const changesPerRun = 5

const changesOf = ({ coverage, options, reference }: Attempt): ReadonlyArray<Change> => {
  const { messages, talk } = reference
  // One message is one frame, unless somebody writes bytes of his own, or TLS stands between.
  const areFrames = talk.frames.length === talk.messages.length
  const changes = messages.flatMap((message, index): Array<Change> => {
    const inBytes = (alteration: Alterations.Alteration<Uint8Array>): Change => {
      const instead = (due: Uint8Array) => alteration.apply(due) ?? due
      return {
        index,
        what: alteration.what,
        isFrame: false,
        alteration,
        plan: { say: (i, due) => i === index ? instead(due) : due },
        of: ({ messages, said }) =>
          index >= said.length || said[index] === messages[index]
            ? undefined
            : { said: said[index], due: messages[index] }
      }
    }
    const framing = Alterations.ofFraming(message).map(inBytes)
    if (!areFrames) return [...Alterations.ofBytes(message).map(inBytes), ...framing]
    const frame = talk.frames[index]
    const inFrame = Alterations.ofFrame(frame).map((alteration): Change => ({
      index,
      what: alteration.what,
      isFrame: true,
      alteration,
      plan: { alters: { index, apply: alteration.apply } },
      // What is due is what was to be said now, and a codec may say the same of what is not the same.
      of: ({ altered, messages }) =>
        altered !== undefined && index < messages.length && Trial.firstDifference(messages[index], altered) !== -1
          ? { said: messages[index], due: altered }
          : undefined
    }))
    const content = frame instanceof Uint8Array
      ? frame
      : typeof frame === "string"
      ? new TextEncoder().encode(frame)
      : undefined
    const at = content === undefined || content.length === 0 ? -1 : Watch.indexOf(message, content)
    return [
      ...inFrame,
      // A change of the frame says nothing of the bytes around it; those of a frame with fields are many things.
      ...(at === -1
        ? Alterations.ofBytesAround(message, message.length, message.length)
        : Alterations.ofBytesAround(message, at, at + content!.length)).map(inBytes), // it is there: it was found
      ...(typeof frame === "string" ? Alterations.ofNoText(message).map(inBytes) : []),
      ...framing,
      ...Alterations.ofEnding(message).map(inBytes)
    ]
  })
  for (const index of messages.keys()) {
    coverage.changes(
      index,
      changes.filter((change) => change.index === index).map(({ alteration }) => alteration)
    )
  }
  const most = changesPerRun * (options.runs ?? 200)
  const isFirst = ({ alteration }: Change) => alteration.isFirst === true
  const [first, others] = [changes.filter(isFirst), changes.filter((change) => !isFirst(change))]
  const whole = evenly(first, changes.length <= most ? most : Math.ceil((2 * most) / 3))
  return [...whole, ...evenly(others, most - whole.length)]
}

export const wrongTurn: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const refused = (talk: Talk, scenario: string, mayBeReady: boolean): Effect.Effect<void, Suite.Problem> => {
      const flaw = Trial.isReady(talk) ? (mayBeReady ? undefined : Trial.outcome(talk)) : Trial.flawOf(talk)
      if (flaw === undefined) return Effect.void
      return Effect.fail(problem(attempt, talk, {
        scenario,
        expected: mayBeReady
          ? "it becomes ready or fails with a typed error that names the step"
          : "it fails with a typed error that names the step; or `accepts` says that this may come there",
        actual: flaw
      }))
    }
    // How it fails, where that can be said.
    const failed = (talk: Talk, turn: WrongTurn, scenario: string): Effect.Effect<void, Suite.Problem> => {
      const due = failureOf(options, turn)
      const error = talk.exit !== undefined && Exit.isFailure(talk.exit) ? Cause.squash(talk.exit.cause) : undefined
      if (due === undefined || !isHandshakeError(error)) return Effect.void
      // Half a message is waited for, which says nothing of it.
      if (due.reason === undefined && isNoAnswer(error)) return Effect.void
      const { fault, retryable } = error
      const actual = { reason: error.reason._tag, fault, retryable }
      const wrong = (["reason", "fault", "retryable"] as const).filter((name) =>
        due[name] !== undefined && due[name] !== actual[name]
      )
      return wrong.length === 0 ? Effect.void : Effect.fail(problem(attempt, talk, {
        scenario,
        expected: `it fails with ${
          wrong.map((name) => `${name} ${String(due[name])}`).join(", ")
        }, as \`failure\` says`,
        actual: `${Trial.outcome(talk)}, with ${wrong.map((name) => `${name} ${String(actual[name])}`).join(", ")}`
      }))
    }
    const { side } = trial
    // What another valid conversation says at the same place may be said there.
    const valid = yield* Effect.forEach(
      alternativesOf(trial, options),
      ({ plan }) => Effect.map(trial.talk(plan), ({ messages }) => messages)
    )
    const isValid = (index: number, said: Uint8Array): boolean =>
      valid.some((messages) => index < messages.length && Trial.firstDifference(messages[index], said) === -1)
    const candidates = candidatesOf(trial, reference, options).filter(({ index, said }) => !isValid(index, said))
    yield* attempt.each(candidates, (candidate) =>
      Effect.flatMap(candidateComes(trial, candidate), ({ talk }) => {
        const { index, said, what } = candidate
        // What was wrong for what was recorded may be what is due this time.
        if (index < talk.messages.length && Trial.firstDifference(talk.messages[index], said) === -1) return Effect.void
        coverage.heard(index, talk.step, "wrong turn")
        const scenario = `${what}, ${Trial.show(said)}, comes in the place of ${nth(index)}, ${
          Trial.show(messages[index])
        }`
        const turn = { side: side.role, index, said, due: messages[index], messages }
        return Effect.andThen(refused(talk, scenario, isLetIn(options, talk, turn)), failed(talk, turn, scenario))
      }), { placeOf: ({ number }) => number })
    yield* attempt.once(changesOf(attempt), ({ alteration, index, isFrame, of, plan, what }) =>
      Effect.flatMap(trial.talk(plan), (talk) => {
        const changed = of(talk)
        const isWrong = changed !== undefined && !isDue(attempt, index, changed)
        coverage.changed(index, alteration, isWrong)
        if (!isWrong) {
          return Effect.void
        }
        coverage.heard(index, talk.step, "wrong turn")
        // What is due is what was to be said this time, before it and there.
        const due = [...talk.messages.slice(0, index), changed.due, ...messages.slice(index + 1)]
        const turn = { side: side.role, index, messages: due, ...changed }
        // Its peer may say no later to what may come there, as to an answer that is not what it has asked for.
        const isAccepted = isValid(index, changed.said) || options.accepts?.(turn) === true
        const mayBeReady = alteration.isHarmless === true || isAccepted || isLetIn(options, talk, turn) ||
          Trial.isReady(talk) && Alterations.isSameJson(changed.said, changed.due)
        // A proof that is almost right is no text for a violation.
        const shown = reference.talk.hidden[index] === true
          ? ""
          : `, ${Trial.show(changed.said)} for ${Trial.show(changed.due)}`
        const scenario = `${nth(index)} comes changed${shown}: ${what}`
        const isOver = !mayBeReady && isRefusedThere(reference, talk, index, isFrame) && !isSpace(changed)
        return refused(talk, scenario, mayBeReady).pipe(
          Effect.andThen(isAccepted ? Effect.void : failed(talk, turn, scenario)),
          Effect.andThen(isOver ? saysRefusal(attempt, plan, talk, turn, scenario) : Effect.void)
        )
      }))
    yield* attempt.each(impostorsOf(trial, options), (impostor) =>
      Effect.flatMap(impostorComes(trial, impostor), ({ talk }) => {
        const { what } = impostor
        if (!Trial.isReady(talk)) {
          coverage.crossed([talk.step], "wrong turn")
        }
        if (options.lateRefusal === true || talk.peerExit === undefined || Exit.isFailure(talk.peerExit)) {
          return refused(talk, `${what} comes`, false)
        }
        return Effect.andThen(
          refused(talk, `${what} comes`, false),
          Effect.fail(problem(attempt, talk, {
            scenario: `${what} comes`,
            expected: "neither side becomes ready; or `lateRefusal` says that a client may before it is told",
            actual: `the impostor became ready when it had heard ${Trial.show(talk.heard.slice(-maxExcerpt))}, and ${
              Trial.outcome(talk)
            }`
          }))
        )
      }), {
      placeOf: ({ number }) =>
        number
    })
    // Without regard to what is answered: messages are left out, said twice, or change places.
    const orders: Array<{ readonly index: number; readonly script: ReadonlyArray<Uint8Array>; readonly what: string }> =
      []
    messages.forEach((message, index) => {
      orders.push({ index, script: messages.toSpliced(index, 1), what: `${nth(index)} is left out` })
      if (index === messages.length - 1) {
        return
      }
      orders.push({
        index: index + 1,
        script: messages.toSpliced(index, 0, message),
        what: `${nth(index)} comes twice`
      })
      orders.push({
        index,
        script: messages.toSpliced(index, 2, messages[index + 1], message),
        what: `${nth(index)} and ${nth(index + 1)} change places`
      })
    })
    const inOrder = concat(messages)
    yield* attempt.each(orders, ({ index, script, what }) => {
      const said = concat(script)
      const instead = script[index] ?? nothing
      // What looks the same is the same.
      const same = Trial.firstDifference(said.subarray(0, inOrder.length), inOrder) === -1
      const accepted =
        options.accepts?.({ side: trial.side.role, index, said: instead, due: messages[index], messages }) === true
      return same || accepted
        ? Effect.void
        : Effect.flatMap(trial.talk({ script: said }), (talk) => {
          coverage.heard(index, talk.step, "wrong turn")
          return refused(talk, `${what}: ${Trial.show(said)}`, false)
        })
    })
    if (messages.length === 0) {
      return
    }
    yield* attempt.property(
      Arbitrary.all({ index: ints(0, messages.length - 1), garbage: bytes(40), keep: ints(0, 3) }),
      ({ garbage, index, keep }) => {
        const message = messages[index]
        const said = keep === 0
          ? garbage
          : concat([message.subarray(0, Math.floor((message.length * keep) / 4)), garbage])
        return Effect.flatMap(trial.talk(replaced(index, said)), (talk) => {
          coverage.heard(index, talk.step, "garbage")
          return refused(talk, `${Trial.show(said)} comes in the place of ${nth(index)}`, true)
        })
      }
    )
  })
