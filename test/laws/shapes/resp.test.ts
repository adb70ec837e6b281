/**
 * The laws of a handshake in one question and one answer, with a login in it, as Redis has it.
 */
import * as Laws from "../../../src/testing/Laws.ts"
import * as Law from "../../support/laws.ts"
import { resp } from "./resp.ts"

Laws.handshake({ ...resp, it: Law.it })
