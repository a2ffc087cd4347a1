#include "server/stop.h"

#include <unistd.h>

#include "server/output.h"

namespace lockstep::server {

StopSignal::StopSignal(Clock& clock) : clock_(clock) {
    sigemptyset(&signals_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
    listener_ = std::thread([this] { listen(); });
}

StopSignal::~StopSignal() {
    ending_ = true;
    pthread_kill(listener_.native_handle(), SIGUSR1);
    listener_.join();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopSignal::ask() {
    asked_ = true;
    clock_.wake();
}

void StopSignal::listen() {
    while (true) {
        int signal = 0;
        if (sigwait(&signals_, &signal) != 0) continue;
        if (ending_) return;
        if (signal == SIGUSR1) continue;
        if (asked_) ::_exit(kStopped);
        ask();
    }
}

}  // namespace lockstep::server
