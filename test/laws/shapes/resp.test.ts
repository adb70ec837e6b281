/**
 * The laws of a handshake in one question and one answer, with a login in it, as Redis has it.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { resp } from "./resp.ts"

// A third of the cases that are drawn, for the sake of time: it is clean on all of them, too.
Laws.handshake({ ...resp, it: Law.it, runs: 66 })
