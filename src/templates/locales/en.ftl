# The mails in English. A message is a mail; its parts are shown in this order:
#   subject, heading, text, the facts (name, when, from, device), next, the button, recovery, after, reason
# A blank line starts a paragraph. $product is the name of the service. $link is "yes" when there is a button.
# The other language has the same keys and mentions the same variables; a test compares them.

## Parts of many mails

facts =
    .when = When
    .from = From
    .device = Device

shared =
    .button = Choose a new password
    .fallback = If the button does not work, open this link:
    .reason = You get this mail because you have an account at { $product }. Mails about its security are always sent.

lifetime =
    .days = { $count ->
        [one] { $count } day
       *[other] { $count } days
    }
    .hours = { $count ->
        [one] { $count } hour
       *[other] { $count } hours
    }
    .minutes = { $count ->
        [one] { $count } minute
       *[other] { $count } minutes
    }
    .seconds = { $count ->
        [one] { $count } second
       *[other] { $count } seconds
    }

moment =
    .text = { $day } { $month ->
        [1] January
        [2] February
        [3] March
        [4] April
        [5] May
        [6] June
        [7] July
        [8] August
        [9] September
        [10] October
        [11] November
       *[12] December
    } { $year } at { $time } UTC

if-you = If it was you, there is nothing to do.

knows-password = If it was not you, somebody else knows your password. { $link ->
    [yes] Choose a new one now. That signs all devices out.
   *[no] Change it at once, here and wherever else you use it.
}

gets-in = If it was not you, somebody else can get into your account. { $link ->
    [yes] Choose a new password now. That signs all devices out. Then check your account.
   *[no] Change your password, sign all other devices out, and tell the people who run { $product } at once.
}

if-unexpected = If you did not expect this, write to the people who run { $product }.

## Addresses

verify_email =
    .subject = Confirm your e-mail address for { $product }
    .heading = Confirm your e-mail address
    .text = Welcome to { $product }. One step is left: confirm that this address is yours.
    .button = Confirm e-mail address
    .after =
        The link works once, for { $lifetime }. After that, ask for a new one where you signed up.

        If you did not sign up, ignore this mail: the address stays unconfirmed and you will not hear from us about it
        again.
    .reason = You get this mail because somebody signed up at { $product } with your address.

account_exists =
    .subject = You already have an account at { $product }
    .heading = You already have an account
    .text =
        Somebody tried to sign up at { $product } with this e-mail address. It already has an account, so nothing was
        created and nothing was changed.
    .next = If it was you, sign in with the password you already have.
    .button = Sign in
    .recovery = If you forgot your password, choose a new one.
    .after =
        If it was not you, ignore this mail: your account is safe, and whoever tried was not told that it exists.
    .reason = You get this mail because you have an account at { $product }.

confirm_email_change =
    .subject = Confirm your new e-mail address for { $product }
    .heading = Confirm your new e-mail address
    .text = Somebody wants to use this address for an account at { $product }. If it was you, confirm that it is yours.
    .button = Confirm new address
    .after =
        The link works once, for { $lifetime }. Until you use it, the account keeps the address it has.

        If it was not you, ignore this mail: nothing will change.
    .reason = You get this mail because somebody wants to use your address at { $product }.

email_change_taken =
    .subject = Your address already has an account at { $product }
    .heading = Your address already has an account
    .text =
        Somebody wants to use this address for another account at { $product }. It already has an account, so nothing
        was changed.
    .next =
        If it was you, sign in with this address to use the account it has, or choose another address for the other one.

        If it was not you, ignore this mail: your account is safe, and whoever tried was not told that it exists.
    .reason = You get this mail because you have an account at { $product }.

email_changed =
    .subject = Your e-mail address for { $product } was changed
    .heading = Your e-mail address was changed
    .text = The e-mail address of your account at { $product } was changed. Mails go to the new address from now on.
    .name = New address
    .next =
        { if-you }

        If it was not you, take the change back. The account then has this address again, all devices are signed out,
        and the password stops working.
    .button = Take the change back
    .after = The link works once, for { $lifetime }.
    .reason = You get this mail because your account at { $product } had this address. Mails about its security are always sent.

email_restored =
    .subject = Your account at { $product } has this address again
    .heading = The change was taken back
    .text =
        The change of your e-mail address was taken back: your account at { $product } has this address again. All
        devices were signed out, and the password no longer works.
    .next = { $link ->
        [yes] Choose a new password to sign in again.
       *[no] Ask for a new password where you sign in.
    }
    .button = Choose a new password
    .after = { $link ->
        [yes] The link works once, for { $lifetime }.
       *[no] { "" }
    }

        If it was not you who took it back, somebody else can read your mail. Change the password of your mailbox first.

## Passwords

reset_password =
    .subject = Choose a new password for { $product }
    .heading = Choose a new password
    .text = Somebody asked for a new password for your account at { $product }. If it was you, choose it now.
    .button = Choose a new password
    .after =
        The link works once, for { $lifetime }. After that, ask for a new one where you sign in.

        If it was not you, ignore this mail: your password stays as it is.
    .reason = You get this mail because somebody asked { $product } for a new password for your address.

password_changed =
    .subject = Your password for { $product } was changed
    .heading = Your password was changed
    .text = The password of your account at { $product } was changed. All other devices were signed out.
    .next =
        { if-you }

        If it was not you, somebody else knows your password. { $link ->
            [yes] Choose a new one now. That signs all devices out.
           *[no] Tell the people who run { $product } at once, and change that password wherever else you use it.
        }

password_reset =
    .subject = Your password for { $product } was reset
    .heading = Your password was reset
    .text =
        A new password was chosen for your account at { $product }, with a link that we had sent to you. All devices
        were signed out.
    .next =
        { if-you }

        If it was not you, somebody else can read your mail. Change the password of your mailbox first. { $link ->
            [yes] Then choose a new password here.
           *[no] Then choose a new password for { $product }.
        }

## Signing in

new_device =
    .subject = New sign-in to your account at { $product }
    .heading = New sign-in
    .text = Somebody signed in to your account at { $product } from a device or a network that was not used for it before.
    .next =
        { if-you }

        { gets-in }

suspicious_sign_in =
    .subject = Somebody has your password for { $product }
    .heading = Somebody has your password
    .text =
        Somebody entered the right password of your account at { $product }, and then a wrong second factor several
        times. They did not get in.
    .next =
        If it was you, there is nothing to do. Wait a little before you try again.

        { knows-password }

device_remembered =
    .subject = New trusted device for your account at { $product }
    .heading = New trusted device
    .text = For a while, signing in to your account at { $product } on this device takes no second factor.
    .name = Remembered as
    .next =
        If it was you, there is nothing to do. You can take it back at any time.

        { gets-in }

session_stolen =
    .subject = You were signed out of { $product } on a device
    .heading = A device was signed out
    .text =
        A key that keeps one of your devices signed in to { $product } was used a second time. It may have been copied,
        so we signed that device out.
    .next =
        Sign in to go on. A faulty app can be the reason, or a device that was restored from a backup. If you are not
        sure that it was one of your own devices, { $link ->
            [yes] choose a new password.
           *[no] change your password.
        }

## Second factors

second_factor_added =
    .subject = Second factor added to your account at { $product }
    .heading = A second factor was added
    .text = A second factor was added to your account at { $product }. From now on, signing in takes one of its codes.
    .name = Second factor
    .next =
        { if-you }

        { gets-in }

second_factor_removed =
    .subject = Second factor removed from your account at { $product }
    .heading = A second factor was removed
    .text = A second factor was removed from your account at { $product }. Its codes no longer work.
    .name = Second factor
    .next =
        { if-you }

        { gets-in }

second_factor_disabled =
    .subject = Second factor switched off for your account at { $product }
    .heading = A second factor was switched off
    .text =
        A second factor of your account at { $product } was switched off, because too many wrong codes were entered.
        Its codes no longer work.
    .name = Second factor
    .next =
        If it was you, sign in another way, such as with a recovery code, and add it again.

        { knows-password }

passkey_added =
    .subject = Passkey added to your account at { $product }
    .heading = A passkey was added
    .text = A passkey was added to your account at { $product }. Whoever holds it can sign in with it.
    .name = Passkey
    .next =
        { if-you }

        { gets-in }

passkey_removed =
    .subject = Passkey removed from your account at { $product }
    .heading = A passkey was removed
    .text = A passkey was removed from your account at { $product }. It no longer signs anybody in.
    .name = Passkey
    .next =
        { if-you }

        { gets-in }

passkey_cloned =
    .subject = A passkey for { $product } may have been copied
    .heading = A passkey may have been copied
    .text =
        A passkey of your account at { $product } was used, and its counter did not go on from where it was. That is a
        sign of a copy.
    .name = Passkey
    .next =
        Sign in another way, remove this passkey and add a new one.

        If it was not you who used it, somebody else can get into your account. { $link ->
            [yes] Remove it, and choose a new password.
           *[no] Remove it, and tell the people who run { $product } at once.
        }

recovery_code_used =
    .subject = Recovery code used for your account at { $product }
    .heading = A recovery code was used
    .text =
        A recovery code of your account at { $product } was used in place of a second factor. { $left ->
            [0] It was the last one. Make new ones while you are signed in.
            [one] One is left. Make new ones before you need them.
           *[other] { $left } are left.
        }
    .next =
        { if-you }

        { gets-in }

recovery_codes_replaced =
    .subject = New recovery codes for your account at { $product }
    .heading = New recovery codes
    .text = New recovery codes were made for your account at { $product }. The old ones no longer work.
    .next =
        { if-you }

        { gets-in }

factors_reset =
    .subject = Second factors removed from your account at { $product }
    .heading = Your second factors were removed
    .text =
        The people who run { $product } removed all second factors from your account. Until you add one again, your
        password alone signs you in.
    .next =
        If you asked them to, add a new second factor soon.

        If you did not ask for this, write to them at once, and change your password.

## The vault

secret_revealed =
    .subject = A stored secret of your account at { $product } was shown
    .heading = A stored secret was shown
    .text =
        A secret that you keep at { $product } was shown on a device or in a network where none of your secrets had been
        shown before.
    .name = Secret
    .next =
        { if-you }

        If it was not you, make that key useless at the service that it belongs to.

        { gets-in }

access_key_added =
    .subject = Access key added to your account at { $product }
    .heading = An access key was added
    .text =
        An access key was made for your account at { $product }. Whoever holds it can use what you keep there, as far as
        the key allows, without signing in.
    .name = Access key
    .next =
        { if-you }

        If it was not you, remove the access key.

        { gets-in }

## The account

deletion_scheduled =
    .subject = Your account at { $product } will be deleted
    .heading = Your account will be deleted
    .text =
        You asked us to delete your account at { $product }. On { $due } it will be gone for good, with all that
        belongs to it.
    .next =
        If you change your mind, sign in before that. Then nothing is deleted.

        If it was not you, sign in now and change your password.

deletion_cancelled =
    .subject = Your account at { $product } will not be deleted
    .heading = Your account stays
    .text = You signed in to your account at { $product }, so it will not be deleted. All is as it was.
    .next =
        If you still want to have it deleted, ask for it again.

        If it was not you who signed in, somebody else knows your password. Change it now.

account_deleted =
    .subject = Your account at { $product } was deleted
    .heading = Your account was deleted
    .text = Your account at { $product } was deleted, with all that belonged to it. This is the last mail about it.
    .next = If you did not ask for this, write to the people who run { $product }.
    .reason = You get this mail because you had an account at { $product }.

account_disabled =
    .subject = Your account at { $product } was disabled
    .heading = Your account was disabled
    .text = The people who run { $product } disabled your account. All devices were signed out, and nobody can sign in.
    .next = { if-unexpected }

account_enabled =
    .subject = Your account at { $product } works again
    .heading = Your account works again
    .text = The people who run { $product } enabled your account again. You can sign in.
    .next = { if-unexpected }

identity_verified =
    .subject = Your identity was verified at { $product }
    .heading = Your identity was verified
    .text = An identity check for your account at { $product } was approved. What needs a verified identity is open to you now.
    .next =
        { if-you }

        { gets-in }
