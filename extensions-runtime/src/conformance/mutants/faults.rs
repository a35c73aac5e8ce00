//! In which ways a backend can be broken, and which case must notice.

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $name:ident caught by $case:ident;)+) => {
        /// How a mutant is broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The case that must catch it.
            #[must_use]
            pub const fn caught_by(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($case),)+
                }
            }

            /// What is wrong, in words.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

faults! {
    /// a claimed job is handed out again
    DoubleClaim caught by sixteen_claimers_never_get_one_job_twice;
    /// any token settles
    IgnoredToken caught by a_claim_that_was_taken_over_settles_nothing;
    /// the last settlement of a call is lost
    LostSettlement caught by a_completed_job_is_kept;
    /// leases end at half their time
    EarlyExpiry caught by a_claim_holds_until_its_lease_ends;
    /// a unique key is looked up before the push, not within it
    UniqueRace caught by one_of_sixteen_racing_for_a_key_wins;
    /// half of a batch is stored
    HalfBatch caught by a_batch_is_there_as_a_whole;
    /// pushing an id again stores a second job
    SecondJobForAnId caught by an_id_that_is_stored_is_not_stored_again;
    /// the larger priority goes first
    WrongPriority caught by the_smaller_priority_goes_first;
    /// a release keeps the attempt counted
    AttemptNotGivenBack caught by a_released_job_is_available_at_once_and_in_its_old_place;
    /// a pause stops nobody
    IgnoredPause caught by nothing_is_claimed_from_a_paused_queue;
    /// a delay is dropped
    DroppedDelay caught by a_delayed_job_is_not_claimed_before_its_time;
    /// the debt of an `on_failure` is forgotten
    ForgottenDebt caught by an_owed_callback_is_claimed_first_and_counts_nothing;
    /// jobs are claimed whose handler was not named
    UnknownHandler caught by jobs_of_unknown_handlers_are_left_alone;
    /// a refused push is reported as done
    SwallowedError caught by a_store_that_refuses_is_reported;
    /// nothing wakes a waiting worker
    LostWakeUp caught by a_push_ends_a_wait;
    /// a push between claim and wait wakes nobody
    LostWakeUpBetween caught by a_push_between_claim_and_wait_is_not_missed;
    /// a wait brings jobs whose claim has ended
    BringsUnclaimed caught by what_a_wait_brings_is_claimed;
    /// a worker that leaves keeps what it holds
    KeptOnLeaving caught by a_worker_that_leaves_gives_back_what_it_holds;
    /// jobs that killed workers go to everybody
    LostToEverybody caught by lost_jobs_are_claimed_only_where_they_may_be;
    /// one lost settlement keeps those behind it back
    DependentSettlements caught by a_lost_settlement_keeps_no_other_back;
    /// the errors of retries are not kept
    DroppedError caught by a_retry_waits_with_its_error;
    /// an operator's cancellation never reaches the worker
    UnheardCancellation caught by an_extension_hears_of_a_cancellation;
    /// more jobs are claimed than asked for
    BeyondMax caught by no_more_than_max_are_claimed;
    /// figures forget running jobs
    ForgetfulStats caught by every_job_is_counted_once_as_it_is_shown;
    /// what a dropped claim took is never given back
    LeakedClaim caught by a_dropped_claim_holds_nothing_that_nobody_knows_of;
    /// the result of a job is not kept
    DroppedResult caught by a_result_stays_with_the_record;
    /// follow-ups are forgotten
    DroppedFollowUps caught by follow_ups_are_stored_with_the_completion;
    /// follow-ups are stored though the completion is lost
    FollowUpsOfTheLost caught by a_lost_completion_stores_no_follow_ups;
    /// follow-ups are stored in a step of their own, before the completion
    FollowUpsFirst caught by a_completion_that_was_refused_stores_no_follow_ups;
    /// follow-ups wake nobody
    QuietFollowUps caught by follow_ups_end_a_wait;
    /// an id is free as soon as its record is gone
    ForgottenId caught by an_id_stays_taken_after_its_job_was_completed_without_a_record;
    /// an id stays taken for ever
    IdTakenForEver caught by a_taken_id_is_free_after_its_time;
    /// a job that its key kept out takes its id all the same
    IdTakenByTheKeptOut caught by a_job_that_a_key_kept_out_takes_no_id;
    /// every job is as young as can be
    NoAge caught by a_claim_says_how_old_its_job_is;
    /// a retry makes its job young again
    YoungRetry caught by neither_delays_nor_retries_make_a_job_younger;
    /// both of two settlements of one claim in one call take effect
    SettledTwice caught by a_claim_that_is_settled_twice_in_one_call_is_settled_once;
    /// to extend one job of a claim extends them all
    ExtendsAll caught by only_what_was_extended_is_held_on;
    /// lanes are served one after the other
    LaneByLane caught by more_lanes_than_are_asked_for_are_merged_into_one_order;
    /// names of queues are cut after 64 characters
    CutNames caught by queues_may_have_any_names;
    /// a text with a zero byte is refused
    RefusedText caught by errors_and_reasons_may_be_any_text;
    /// what is beyond a thousand jobs of a push is lost
    CutBatch caught by five_thousand_jobs_go_through_at_once;
    /// a list by queue forgets the states asked for
    ForgottenFilter caught by a_long_list_is_paged_with_every_filter;
    /// states that no job is in any more are still shown
    LastingFigures caught by figures_of_jobs_that_are_gone_are_gone;
    /// of two pushes that cross one fails
    DeadlockVictim caught by two_pushes_of_the_same_keys_in_opposite_order_share_them;
    /// a pause holds only for the handle that it was asked of
    PauseOfOneHandle caught by a_pause_holds_for_every_handle;
    /// pushes of another handle wake nobody
    DeafToOtherHandles caught by a_push_through_another_handle_ends_a_wait;
    /// only the first tally of a beat is kept
    FirstTally caught by what_workers_did_is_added_up_by_queue_and_handler;
    /// what was done goes with the workers that did it
    HistoryOfTheLiving caught by what_a_worker_did_outlives_it;
    /// a minute begins with its first beat
    AnyMinute caught by the_minutes_are_those_of_the_store_and_in_order;
    /// lists begin with the oldest, whatever was asked for
    AlwaysOldestFirst caught by the_newest_come_first_and_are_paged_to_the_oldest;
    /// the clock that is shown is another one
    AnotherClock caught by now_is_the_clock_of_all_times;
    /// a problem is found in every store
    FalseAlarm caught by a_sound_store_has_no_problem_and_is_left_as_it_is;
    /// paused queues show as running
    HiddenPause caught by what_keeps_a_waiting_job_is_said;
}
